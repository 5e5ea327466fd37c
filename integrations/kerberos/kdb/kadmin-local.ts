import { execFile } from 'node:child_process'
import { ConfigError, StoreError } from '../../../lib/index.ts'
import { parsePrincipal } from '../principal.ts'

const TIMEOUT_MS = 30_000

/** Where kadmin.local works, and with what. */
export interface KadminLocation {
  readonly realm: string
  readonly environment?: Readonly<Record<string, string>>
}

/** What is set of a principal that is keyed from the pool. */
export interface PoolPrincipalSettings {
  /** Longest life of a ticket, in seconds. */
  readonly maxLifeSeconds: number
}

/**
 * Makes a principal that has no key at all, so that the KDC has nothing to fall back to; its tickets can't be renewed,
 * because a renewal would outlive the key.
 */
export async function addPoolPrincipal(
  location: KadminLocation,
  principal: string,
  { maxLifeSeconds }: PoolPrincipalSettings,
): Promise<void> {
  parsePrincipal(principal)
  const life = ['-maxlife', `${maxLifeSeconds}sec`, '-maxrenewlife', '0sec']
  await kadminLocal(location, ['addprinc', '-nokey', ...life, principal])
}

/** Sets the lives of a principal that is there. */
export async function setPoolLives(
  location: KadminLocation,
  principal: string,
  { maxLifeSeconds }: PoolPrincipalSettings,
): Promise<void> {
  parsePrincipal(principal)
  await kadminLocal(location, ['modprinc', '-maxlife', `${maxLifeSeconds}sec`, '-maxrenewlife', '0sec', principal])
}

/** Removes a principal. */
export async function deletePrincipal(location: KadminLocation, principal: string): Promise<void> {
  parsePrincipal(principal)
  await kadminLocal(location, ['delprinc', '-force', principal])
}

/** Sets or, with an empty value, removes a string attribute. */
export async function setString(
  location: KadminLocation,
  principal: string,
  { name, value }: { name: string; value: string },
): Promise<void> {
  parsePrincipal(principal)
  await kadminLocal(location, value === '' ? ['delstr', principal, name] : ['setstr', principal, name, value])
}

/** Runs one query. Nothing secret may be among its words: everybody can read them in /proc. */
function kadminLocal({ realm, environment = {} }: KadminLocation, words: readonly string[]): Promise<void> {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  const shell = 'PATH=$PATH:/usr/sbin:/sbin; exec kadmin.local "$@"'
  const args = [...variables, 'LC_ALL=C', 'sh', '-c', shell, 'sh', '-r', realm, ...words]
  return new Promise((resolve, reject) => {
    execFile('env', args, { timeout: TIMEOUT_MS }, (error, _, stderr) => {
      const said = stderr.trim().replace(/\s*\n\s*/g, '; ')
      if (error !== null && /not found/.test(said)) {
        return reject(
          new ConfigError('kadmin.local is not installed (Debian package krb5-admin-server)', { cause: error }),
        )
      }
      if (error !== null) return reject(new StoreError(`kadmin.local ${words[0]} failed: ${said}`, { cause: error }))
      resolve()
    })
  })
}
