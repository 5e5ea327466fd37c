import { InvalidArgumentError } from '../../lib/index.ts'

/** A principal's name in parts, as messages and keytabs carry it. */
export interface PrincipalName {
  readonly components: readonly string[]
  readonly realm: string
}

/** What needs no escape in any of MIT's spellings: command lines, dump records, keytabs. */
const PART = /^[A-Za-z0-9._$-]{1,128}$/

/**
 * The parts of `primary/instance@REALM`.
 * @throws {InvalidArgumentError} it is no such name, or has characters outside A-Z a-z 0-9 . _ $ -
 */
export function parsePrincipal(text: string): PrincipalName {
  const [name = '', realm = '', ...more] = text.split('@')
  const components = name.split('/')
  if (more.length > 0 || components.length > 8 || ![realm, ...components].every(part => PART.test(part))) {
    throw new InvalidArgumentError(
      `${JSON.stringify(text)} is no principal, such as HTTP/host.example@REALM, out of A-Z a-z 0-9 . _ $ -`,
    )
  }
  return { components, realm }
}

/** The name on one line, `primary/instance@REALM`. */
export function formatPrincipal({ components, realm }: PrincipalName): string {
  return `${components.join('/')}@${realm}`
}

/** The principal with which realm `from` sends its clients on to realm `to`. */
export function trustPrincipal({ from, to }: { from: string; to: string }): string {
  return formatPrincipal({ components: ['krbtgt', to], realm: from })
}

/** The name type that MIT writes for a principal (RFC 4120, section 6.2): 2 for ticket-granting services, else 1. */
export function nameType({ components }: Pick<PrincipalName, 'components'>): number {
  return components.length === 2 && components[0] === 'krbtgt' ? 2 : 1
}
