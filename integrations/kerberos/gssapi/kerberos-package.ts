import { MissingDependencyError } from '../../../lib/index.ts'

/** An acceptor's end of one GSS-API context, as the package gives it. Tokens are base64. */
export interface KerberosServer {
  readonly username: string
  readonly contextComplete: boolean
  step(token: string): Promise<string | null>
}

/** What is used of the npm package `kerberos`, version 7. */
export interface KerberosPackage {
  initializeServer(service: string): Promise<KerberosServer>
}

/**
 * The package, if the application has it: an optional peer dependency, for it is compiled where it is installed.
 * @throws {MissingDependencyError} it is not installed, or can't be loaded
 */
export async function loadKerberosPackage(): Promise<KerberosPackage> {
  try {
    // @ts-expect-error: its types are there only where the package is.
    const loaded = (await import('kerberos')) as { default?: KerberosPackage } & KerberosPackage
    return loaded.default ?? loaded
  } catch (cause) {
    throw new MissingDependencyError(
      'The package kerberos is needed: npm install kerberos@7 (with a C++ compiler, make, python3 and libkrb5-dev)',
      { cause },
    )
  }
}
