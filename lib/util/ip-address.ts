import { isIPv4, isIPv6 } from 'node:net'

/** The 4 or 16 bytes of an IP address as certificates hold it; undefined for anything else, a zone (`%eth0`) included. */
export function ipAddressBytes(address: string): Buffer | undefined {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  if (!isIPv6(address) || address.includes('%')) return undefined
  // A URL prints the canonical form: hexadecimal groups, at most one `::`, never a dotted quad.
  const [head = '', tail = ''] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const [front, back] = [groups(head), groups(tail)]
  const zeros = Array<string>(8 - front.length - back.length).fill('0000')
  return Buffer.from([...front, ...zeros, ...back].join(''), 'hex')
}

function groups(text: string): string[] {
  return text === '' ? [] : text.split(':').map(group => group.padStart(4, '0'))
}

/** True where a host name, or an address as a URL prints it, is this machine's own. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname === '::1' || /^127(\.\d{1,3}){3}$/.test(hostname)
}
