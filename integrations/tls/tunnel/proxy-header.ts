import { ipAddressBytes } from '../../../lib/index.ts'

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
/** Version 2, command PROXY: the connection is carried for somebody else. */
const VERSION_AND_COMMAND = 0x21
const TCP_OVER_IPV4 = 0x11
const TCP_OVER_IPV6 = 0x21
const UNSPECIFIED = 0x00

/** One end of a TCP connection, as node:net tells it; undefined where the socket has closed. */
export interface TcpEndpoint {
  readonly address: string | undefined
  readonly port: number | undefined
}

/**
 * What a target that speaks the PROXY protocol, version 2, reads ahead of the connection's own bytes: who connected, and to
 * where. An end that is unknown, or ends of two families, give the header that says so.
 */
export function proxyHeader({ source, destination }: { source: TcpEndpoint; destination: TcpEndpoint }): Buffer {
  const [from, to] = [ipBytes(source.address), ipBytes(destination.address)]
  const known = from !== undefined && from.length === to?.length
  if (!known || source.port === undefined || destination.port === undefined) return header(UNSPECIFIED, [])
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(source.port, 0)
  ports.writeUInt16BE(destination.port, 2)
  return header(from.length === 4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6, [from, to, ports])
}

function header(family: number, addresses: readonly Buffer[]): Buffer {
  const length = addresses.reduce((sum, { length }) => sum + length, 0)
  return Buffer.concat([SIGNATURE, Buffer.of(VERSION_AND_COMMAND, family, 0, length), ...addresses])
}

/** A socket that listens for both families names IPv4 addresses in IPv6's clothes (`::ffff:192.0.2.1`). */
function ipBytes(address: string | undefined): Buffer | undefined {
  return address === undefined
    ? undefined
    : ipAddressBytes(address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, ''))
}
