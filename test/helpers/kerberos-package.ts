import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { KerberosPackage } from '../../integrations/kerberos/gssapi/kerberos-package.ts'
import { installNative, nativePackageDir } from './native-package.ts'

const VERSION = '7.0.0'
const dir = nativePackageDir('kerberos', VERSION)

/** A client's end of a GSS-API context, of which the product needs none. */
export interface KerberosClient {
  readonly contextComplete: boolean
  step(token: string): Promise<string>
}

/** The npm package as tests use it. */
export interface TestKerberosPackage extends KerberosPackage {
  initializeClient(service: string, options: { mechOID: number }): Promise<KerberosClient>
  readonly GSS_MECH_OID_KRB5: number
  readonly GSS_MECH_OID_SPNEGO: number
}

/** The folder to which a program's `import('kerberos')` must lead. */
export const kerberosModules = join(dir, 'node_modules')

let installing: Promise<void> | undefined

/**
 * The npm package `kerberos`, in a folder of its own: `npm ci` does without it. Where it can't be built the test is skipped
 * with the reason printed; with `CI` set it fails.
 */
export async function requireKerberosPackage(test: { skip(): never }): Promise<TestKerberosPackage> {
  try {
    installing ??= installNative('kerberos', VERSION, 'build/Release/kerberos.node')
    await installing
  } catch (error) {
    const reason = `the npm package kerberos can't be built: ${(error as Error).message.slice(0, 500)}`
    if (process.env.CI !== undefined && process.env.CI !== '' && process.env.CI !== 'false') throw new Error(reason)
    console.log(`      skipped: ${reason}`)
    return test.skip()
  }
  return createRequire(join(dir, 'package.json'))('kerberos') as TestKerberosPackage
}
