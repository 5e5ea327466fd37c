import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createTestRealms, requireKerberos, type TestRealms } from './kdc-realm.ts'
import { peerProgram } from './peer-program.ts'

/** Principals of an OTP realm: who logs in by one-time keys alone, and a service that asks for such a login. */
export const OTP_USER = 'bob@A.QKD'
export const GUARDED_SERVICE = 'HTTP/host-a.test@A.QKD'

/** A realm whose KDC asks a RADIUS server, which is the test's to start. */
export interface OtpRealm extends AsyncDisposable {
  readonly realms: TestRealms
  /** Where the KDC looks for the RADIUS server. */
  readonly socketPath: string
  /** Credential cache of a workstation, for `kinit -T`. */
  readonly armor: string
}

/** As `requireKerberos`, for the KDC's OTP module as well: a library, which no path leads to. */
export function requireKerberosOtp(test: { skip(): never }): void {
  requireKerberos(test)
  const isThere = ['x86_64', 'aarch64'].some(machine =>
    existsSync(`/usr/lib/${machine}-linux-gnu/krb5/plugins/preauth/otp.so`),
  )
  if (!isThere) peerProgram(test, 'otp.so', 'krb5-otp')
}

/** Realm A.QKD with alice (password `alice-pw`), `OTP_USER` and `GUARDED_SERVICE`. */
export async function createOtpRealm(): Promise<OtpRealm> {
  const socketOf = (directory: string) => join(directory, 'radius.sock')
  const realms = await createTestRealms({
    names: ['A.QKD'],
    sections: ({ directory }) => `[otp]
 qkd = {
  server = ${socketOf(directory)}
  timeout = 5
  retries = 1
  strip_realm = false
  indicator = qkd
 }
`,
  })
  const [realm] = realms.realms
  await realm!.kadmin('addprinc -nokey +requires_preauth bob')
  await realm!.kadmin('setstr bob otp "[{""type"":""qkd""}]"')
  await realm!.kadmin(`addprinc -randkey ${GUARDED_SERVICE}`)
  await realm!.kadmin(`setstr ${GUARDED_SERVICE} require_auth qkd`)
  const keytab = join(realm!.directory, 'ws.keytab')
  await realm!.kadmin('addprinc -randkey host/ws.test')
  await realm!.kadmin(`ktadd -k ${keytab} host/ws.test`)
  const workstation = realms.client('armor')
  await workstation.kinit('host/ws.test', '', '-k', '-t', keytab)
  return {
    realms,
    socketPath: socketOf(realm!.directory),
    armor: workstation.ccache,
    [Symbol.asyncDispose]: () => realms[Symbol.asyncDispose](),
  }
}
