import { createHash, randomBytes } from 'node:crypto'
import { StoreError } from '../../errors.ts'
import { KEY_NAME_BYTES } from '../../key/key-name.ts'
import { SecretKey } from '../../key/secret-key.ts'
import type { Attribute, Handle, Pkcs11Module } from './pkcs11-package.ts'
import { CKR, ckrOf, closeModule, findObjects, openModule, openSession } from './pkcs11-token.ts'
import type { WrappingKey } from './wrapping-key.ts'

/** Where in a device the key encryption key is. */
export interface Pkcs11Source {
  /** Path of the PKCS#11 module of the device's maker. */
  readonly module: string
  /** Label of the token. */
  readonly token: string
  /** Label of the AES key of 256 bits in it, which must not be able to leave. */
  readonly key: string
  /** File, its owner's alone, whose first line is the PIN. */
  readonly pinFile: string
}

/** What `openPkcs11Key` needs besides. */
export interface Pkcs11Options {
  /** The store is new: a missing key is made in the token. */
  readonly create: boolean
  /** Gives the PIN in a buffer of its own. */
  readonly readPin: () => Promise<Buffer>
}

const [CKA_CLASS, CKA_TOKEN, CKA_PRIVATE, CKA_LABEL, CKA_VALUE_LEN] = [0x0, 0x1, 0x2, 0x3, 0x161]
const [CKA_SENSITIVE, CKA_ENCRYPT, CKA_DECRYPT, CKA_EXTRACTABLE] = [0x103, 0x104, 0x105, 0x162]
const [CKO_SECRET_KEY, CKM_AES_KEY_GEN, CKM_AES_GCM, CK_PARAMS_AES_GCM_V240] = [0x4, 0x1080, 0x1087, 7]
const KEK_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** Answers after which a device may be back by a new session: it was unplugged, or has restarted. */
const LOST: readonly (number | undefined)[] = [
  CKR.deviceError,
  CKR.deviceRemoved,
  CKR.sessionHandleInvalid,
  CKR.notLoggedIn,
]

/**
 * A key encryption key that stays in its device. The calls of the standard are synchronous: each holds the process for as long
 * as the device takes, once for a block and once for each time that a block is opened.
 * @throws {MissingDependencyError} the package for PKCS#11 is not installed
 * @throws {StoreError} module, token or key is missing, the PIN is wrong, or the key could leave the device
 */
export async function openPkcs11Key(source: Pkcs11Source, options: Pkcs11Options): Promise<WrappingKey> {
  const module = await openModule(source.module)
  try {
    const pin = await options.readPin()
    try {
      return new Pkcs11Key(module, source, { pin, create: options.create })
    } finally {
      pin.fill(0)
    }
  } catch (error) {
    closeModule(source.module)
    throw error
  }
}

class Pkcs11Key implements WrappingKey {
  readonly name: Buffer
  readonly #module: Pkcs11Module
  readonly #source: Pkcs11Source
  readonly #pin: Buffer
  #session: Handle
  #key: Handle
  #isClosed = false

  constructor(module: Pkcs11Module, source: Pkcs11Source, { pin, create }: { pin: Buffer; create: boolean }) {
    this.#module = module
    this.#source = source
    this.#pin = Buffer.from(pin)
    this.#session = openSession(module, { token: source.token, pin })
    this.#key = this.#find() ?? this.#make(create)
    this.#check()
    // What it makes of zeros under the one nonce that it never takes for anything else; sealing draws its own.
    const mark = this.#encrypt(Buffer.alloc(TAG_BYTES), {
      nonce: Buffer.alloc(NONCE_BYTES),
      context: Buffer.from('name'),
    })
    this.name = createHash('sha256').update('qkdkit/1 key name').update(mark).digest().subarray(0, KEY_NAME_BYTES)
  }

  seal(secret: SecretKey, context: Uint8Array): Uint8Array {
    const nonce = randomBytes(NONCE_BYTES)
    const sealed = secret.expose('pkcs11-wrap', bytes => {
      const plain = Buffer.from(bytes)
      try {
        return this.#again(() => this.#encrypt(plain, { nonce, context }))
      } finally {
        plain.fill(0)
      }
    })
    return Buffer.concat([nonce, sealed])
  }

  open(sealed: Uint8Array, context: Uint8Array): SecretKey {
    if (sealed.byteLength <= NONCE_BYTES + TAG_BYTES) throw new StoreError('A sealed record is cut short')
    const bytes = Buffer.from(sealed)
    const mechanism = gcm(bytes.subarray(0, NONCE_BYTES), context)
    return this.#again(() => {
      this.#module.C_DecryptInit(this.#session, mechanism, this.#key)
      const room = Buffer.allocUnsafeSlow(bytes.byteLength)
      try {
        return SecretKey.copyOf(this.#module.C_Decrypt(this.#session, bytes.subarray(NONCE_BYTES), room))
      } finally {
        room.fill(0)
      }
    })
  }

  wipe(): void {
    this.close()
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#pin.fill(0)
    try {
      this.#module.C_CloseSession(this.#session)
    } catch {
      // A device that is gone has closed it.
    }
    closeModule(this.#source.module)
  }

  #find(): Handle | undefined {
    const { token, key } = this.#source
    const found = findObjects(this.#module, this.#session, keyTemplate(key))
    if (found.length > 1) throw new StoreError(`More than one key is labelled "${key}" in token "${token}"`)
    return found[0]
  }

  #make(create: boolean): Handle {
    const { module, token, key } = this.#source
    if (!create)
      throw new StoreError(
        `No AES key is labelled "${key}" in token "${token}"; make one: pkcs11-tool --module ${module} --token-label ${token} --login --keygen --key-type AES:32 --sensitive --label ${key}`,
      )
    return this.#module.C_GenerateKey(this.#session, { mechanism: CKM_AES_KEY_GEN }, [
      ...keyTemplate(key),
      { type: CKA_TOKEN, value: true },
      { type: CKA_PRIVATE, value: true },
      { type: CKA_VALUE_LEN, value: KEK_BYTES },
      { type: CKA_SENSITIVE, value: true },
      { type: CKA_EXTRACTABLE, value: false },
      { type: CKA_ENCRYPT, value: true },
      { type: CKA_DECRYPT, value: true },
    ])
  }

  #check(): void {
    const asked = [CKA_EXTRACTABLE, CKA_SENSITIVE, CKA_VALUE_LEN].map(type => ({ type }))
    const [extractable, sensitive, length] = this.#module.C_GetAttributeValue(this.#session, this.#key, asked)
    const named = `The key "${this.#source.key}" in token "${this.#source.token}"`
    if (extractable!.value[0] !== 0 || sensitive!.value[0] !== 1)
      throw new StoreError(`${named} can leave the device: make one that is sensitive and not extractable`)
    if (length!.value.readUInt8(0) !== KEK_BYTES) throw new StoreError(`${named} has not 256 bits`)
  }

  #encrypt(plain: Buffer, { nonce, context }: { nonce: Buffer; context: Uint8Array }): Buffer {
    this.#module.C_EncryptInit(this.#session, gcm(nonce, context), this.#key)
    const room = Buffer.alloc(plain.byteLength + TAG_BYTES)
    return this.#module.C_Encrypt(this.#session, plain, room)
  }

  /** Once more by a new session, where the device was away. */
  #again<T>(use: () => T): T {
    try {
      return use()
    } catch (error) {
      if (!LOST.includes(ckrOf(error)) || this.#isClosed) throw failure(error)
    }
    try {
      this.#session = openSession(this.#module, { token: this.#source.token, pin: this.#pin })
      this.#key = this.#find() ?? this.#make(false)
      return use()
    } catch (error) {
      throw failure(error)
    }
  }
}

function keyTemplate(label: string): Attribute[] {
  return [
    { type: CKA_CLASS, value: CKO_SECRET_KEY },
    { type: CKA_LABEL, value: label },
  ]
}

function gcm(nonce: Buffer, context: Uint8Array) {
  const parameter = {
    type: CK_PARAMS_AES_GCM_V240,
    iv: nonce,
    aad: Buffer.from(context),
    ivBits: 8 * NONCE_BYTES,
    tagBits: 8 * TAG_BYTES,
  }
  return { mechanism: CKM_AES_GCM, parameter }
}

function failure(cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause
  return new StoreError(`The device of the key encryption key refuses: ${(cause as Error).message}`, { cause })
}
