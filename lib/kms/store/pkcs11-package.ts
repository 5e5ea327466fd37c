import { MissingDependencyError } from '../../errors.ts'

/** A number or an address by which the module knows a slot, a session or an object. */
export type Handle = Buffer

/** One attribute of an object, and its value. */
export interface Attribute {
  readonly type: number
  readonly value?: number | boolean | string | Buffer
}

interface Mechanism {
  readonly mechanism: number
  readonly parameter?: unknown
}

/** What is used of a PKCS#11 module, by the names of the standard. */
export interface Pkcs11Module {
  load(path: string): void
  close(): void
  C_Initialize(): void
  C_Finalize(): void
  C_GetSlotList(tokenPresent: boolean): Handle[]
  C_GetTokenInfo(slot: Handle): { readonly label: string }
  C_OpenSession(slot: Handle, flags: number): Handle
  C_CloseSession(session: Handle): void
  C_Login(session: Handle, userType: number, pin: string): void
  C_FindObjectsInit(session: Handle, template: readonly Attribute[]): void
  C_FindObjects(session: Handle, max: number): Handle[]
  C_FindObjectsFinal(session: Handle): void
  C_GetAttributeValue(session: Handle, object: Handle, template: readonly Attribute[]): { readonly value: Buffer }[]
  C_GenerateKey(session: Handle, mechanism: Mechanism, template: readonly Attribute[]): Handle
  C_EncryptInit(session: Handle, mechanism: Mechanism, key: Handle): void
  C_Encrypt(session: Handle, input: Buffer, output: Buffer): Buffer
  C_DecryptInit(session: Handle, mechanism: Mechanism, key: Handle): void
  C_Decrypt(session: Handle, input: Buffer, output: Buffer): Buffer
}

/** What is used of the npm package `pkcs11js`, version 2. */
export interface Pkcs11Package {
  readonly PKCS11: new () => Pkcs11Module
}

/**
 * The package, if it is installed: an optional peer dependency, for it is compiled where it is installed.
 * @throws {MissingDependencyError} it is not installed, or can't be loaded
 */
export async function loadPkcs11Package(): Promise<Pkcs11Package> {
  try {
    // @ts-expect-error: its types are there only where the package is.
    const loaded = (await import('pkcs11js')) as { default?: Pkcs11Package } & Pkcs11Package
    return loaded.default ?? loaded
  } catch (cause) {
    throw new MissingDependencyError(
      'The package pkcs11js is needed for a key encryption key in a device: npm install pkcs11js@2 (with a C++ compiler, make and python3)',
      { cause },
    )
  }
}
