import { InvalidArgumentError } from '../errors.ts'

/**
 * The servers of a connection URL, one URL each, in their order: as libpq's, the URL may name several hosts
 * (`postgres://qkd@db-1:5432,db-2:5432/qkd`, or `?host=/run/a,/run/b&port=5432,5433` for sockets).
 * @throws {InvalidArgumentError} it is not the URL of a database
 */
export function postgresServers(url: string): string[] {
  const parts = /^(postgres(?:ql)?):\/\/(?:([^@/?]*)@)?([^/?]*)(\/[^?]*)?(?:\?(.*))?$/.exec(url)
  if (parts === null) throw new InvalidArgumentError('The URL of a database begins with postgres:// or postgresql://')
  const [, scheme, user, authority = '', path = '', query = ''] = parts
  // With the @ that ends the user part: one that stands behind the host belongs to a password that is cut in two there.
  if (user === undefined && `${path}${query}`.includes('@')) {
    throw new InvalidArgumentError(
      'The URL of a database has an @ behind its host: write / ? # and @ in a user or password as %2F %3F %23 and %40',
    )
  }
  const params = new URLSearchParams(query)
  const sockets = params.get('host')?.split(',') ?? []
  const ports = params.get('port')?.split(',') ?? []
  const hosts = authority.split(',')
  const count = Math.max(sockets.length, hosts.length)
  return Array.from({ length: count }, (_, at) => {
    const own = new URLSearchParams(params)
    if (sockets.length > 0) own.set('host', sockets[at] ?? sockets[0]!)
    if (ports.length > 0) own.set('port', ports[at] ?? ports[0]!)
    const host = hosts[at] ?? hosts[0]!
    const text = own.toString()
    return `${scheme}://${user === undefined ? '' : `${user}@`}${host}${path}${text === '' ? '' : `?${text}`}`
  })
}

/** True where the URL carries a password, in its user part or its query. */
export function hasPassword(url: string): boolean {
  return /^[a-z]+:\/\/[^@/?]*:[^@/?]+@/.test(url) || /[?&]password=/.test(url)
}

/** The URL as it may stand in a message. */
export function withoutPassword(url: string): string {
  // Up to the last @ before the path: one in the password itself belongs to it.
  return url.replace(/^([a-z]+:\/\/[^:@/?]*):[^/?]*@/, '$1@').replace(/([?&]password=)[^&]*/g, '$1...')
}
