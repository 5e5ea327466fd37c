import { StoreError } from '../../errors.ts'
import type { Attribute, Handle, Pkcs11Module } from './pkcs11-package.ts'
import { loadPkcs11Package } from './pkcs11-package.ts'

const [CKF_SERIAL_SESSION, CKF_RW_SESSION, CKU_USER] = [4, 2, 1]
/** Numbers of the standard's answers that are told apart here. */
export const CKR = {
  deviceError: 0x30,
  deviceRemoved: 0x32,
  pinIncorrect: 0xa0,
  pinLocked: 0xa4,
  sessionHandleInvalid: 0xb3,
  alreadyLoggedIn: 0x100,
  notLoggedIn: 0x101,
  alreadyInitialized: 0x191,
} as const

/** Modules of this process: one is initialized once, however many keys are used in it. */
const open = new Map<string, { readonly module: Pkcs11Module; users: number }>()

/** Number of an error that a module has answered; undefined for other errors. */
export function ckrOf(error: unknown): number | undefined {
  const { code } = error as { code?: unknown }
  return typeof code === 'number' ? code : undefined
}

/**
 * The module at a path, initialized; whoever opens it closes it.
 * @throws {MissingDependencyError} the package for it is not installed
 * @throws {StoreError} the module cannot be loaded
 */
export async function openModule(path: string): Promise<Pkcs11Module> {
  const known = open.get(path)
  if (known !== undefined) {
    known.users += 1
    return known.module
  }
  const { PKCS11 } = await loadPkcs11Package()
  const module = new PKCS11()
  try {
    module.load(path)
    module.C_Initialize()
  } catch (cause) {
    if (ckrOf(cause) !== CKR.alreadyInitialized)
      throw new StoreError(`The PKCS#11 module ${path} cannot be loaded: ${(cause as Error).message}`, { cause })
  }
  open.set(path, { module, users: 1 })
  return module
}

/** Takes leave of a module; the last one ends it. */
export function closeModule(path: string): void {
  const known = open.get(path)
  if (known === undefined) return
  known.users -= 1
  if (known.users > 0) return
  open.delete(path)
  known.module.C_Finalize()
  known.module.close()
}

/**
 * A session with the token of a label, logged in. The PIN is a string only because the package takes no other.
 * @throws {StoreError} there is no such token, or the PIN is not its own
 */
export function openSession(module: Pkcs11Module, { token, pin }: { token: string; pin: Buffer }): Handle {
  const tokens = module.C_GetSlotList(true).map(slot => ({ slot, label: module.C_GetTokenInfo(slot).label.trim() }))
  const found = tokens.filter(({ label }) => label === token)
  if (found.length !== 1) {
    const there = tokens.map(({ label }) => `"${label}"`).join(', ')
    throw new StoreError(
      `${found.length === 0 ? 'No' : 'More than one'} token is labelled "${token}"; there is ${there || 'none at all'}`,
    )
  }
  const session = module.C_OpenSession(found[0]!.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION)
  try {
    module.C_Login(session, CKU_USER, pin.toString('utf8'))
  } catch (cause) {
    if (ckrOf(cause) === CKR.alreadyLoggedIn) return session
    module.C_CloseSession(session)
    throw new StoreError(`${wordsOfLogin(ckrOf(cause))} token "${token}": ${(cause as Error).message}`, { cause })
  }
  return session
}

function wordsOfLogin(ckr: number | undefined): string {
  if (ckr === CKR.pinIncorrect) return 'The PIN is not the right one for'
  return ckr === CKR.pinLocked ? 'Too many wrong PINs have locked' : 'There is no way into'
}

/** Objects that have all of these attributes; at most two, which tells one from several. */
export function findObjects(module: Pkcs11Module, session: Handle, template: readonly Attribute[]): Handle[] {
  module.C_FindObjectsInit(session, template)
  try {
    return module.C_FindObjects(session, 2)
  } finally {
    module.C_FindObjectsFinal(session)
  }
}
