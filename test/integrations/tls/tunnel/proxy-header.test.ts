import { expect } from 'chai'
import { proxyHeader } from '../../../../integrations/tls/tunnel/proxy-header.ts'

const SIGNATURE = '0d0a0d0a000d0a515549540a'
const header = (source: string | undefined, destination: string | undefined, port: number | undefined = 0x1234) =>
  proxyHeader({ source: { address: source, port }, destination: { address: destination, port: 443 } }).toString('hex')

describe('proxyHeader', () => {
  it('says IPv4 in 28 bytes', () => {
    expect(header('192.0.2.1', '198.51.100.7')).to.equal(`${SIGNATURE}2111000cc0000201c6336407123401bb`)
  })

  it('says IPv6 in 52 bytes', () => {
    expect(header('2001:db8::1', 'fe80::2%eth0')).to.equal(
      `${SIGNATURE}2121002420010db8000000000000000000000001fe800000000000000000000000000002123401bb`,
    )
  })

  it('says IPv4 for what a socket of both families took', () => {
    expect(header('::ffff:192.0.2.1', '::ffff:198.51.100.7')).to.equal(header('192.0.2.1', '198.51.100.7'))
  })

  it('says that it is unknown where an end is, or the families differ', () => {
    const unknown = `${SIGNATURE}21000000`
    expect(header(undefined, '198.51.100.7')).to.equal(unknown)
    expect(header('192.0.2.1', undefined)).to.equal(unknown)
    expect(header('192.0.2.1', '2001:db8::1')).to.equal(unknown)
    expect(header('/run/a.sock', '192.0.2.1')).to.equal(unknown)
  })
})
