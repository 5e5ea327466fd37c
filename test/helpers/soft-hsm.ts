import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Pkcs11Source } from '../../lib/kms/store/pkcs11-key.ts'
import { installNative, nativePackageDir } from './native-package.ts'

const VERSION = '2.1.7'
const MODULES = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib64/softhsm/libsofthsm2.so']
const RESOLVER = new URL('./pkcs11-resolver.mjs', import.meta.url)

/** A token in software, in a directory of a test's own. */
export interface SoftHsm {
  readonly source: Pkcs11Source
  /** The PIN, which must not be found anywhere but in its file. */
  readonly pin: string
  /** What a process needs to use it. */
  readonly env: Readonly<Record<string, string>>
}

/**
 * Makes a token with SoftHSM, and has this process find the package for it. Where either is missing the test is skipped with the
 * reason printed; with `CI` set it fails.
 */
export async function requireSoftHsm(test: { skip(): never }, directory: string): Promise<SoftHsm> {
  try {
    return await createToken(directory)
  } catch (error) {
    const reason = `there is no SoftHSM, or pkcs11js can't be built: ${(error as Error).message.slice(0, 500)}`
    if (process.env.CI !== undefined && process.env.CI !== '' && process.env.CI !== 'false') throw new Error(reason)
    console.log(`      skipped: ${reason}`)
    return test.skip()
  }
}

async function createToken(directory: string): Promise<SoftHsm> {
  const module = MODULES.find(path => existsSync(path))
  if (module === undefined) throw new Error('libsofthsm2.so is missing: apt-get install softhsm2')
  await installNative('pkcs11js', VERSION, 'build/Release/pkcs11.node')
  const tokens = join(directory, 'tokens')
  await mkdir(tokens, { recursive: true })
  const conf = join(directory, 'softhsm2.conf')
  await writeFile(conf, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`)
  const [pin, token] = ['pin-7c31f09a', 'qkd']
  const args = ['--init-token', '--free', '--label', token, '--so-pin', 'so-pin-5512', '--pin', pin]
  await promisify(execFile)('softhsm2-util', args, { env: { ...process.env, SOFTHSM2_CONF: conf } })
  const pinFile = join(directory, 'pin')
  await writeFile(pinFile, `${pin}\n`, { mode: 0o600 })
  const env = {
    SOFTHSM2_CONF: conf,
    QKD_TEST_PKCS11: nativePackageDir('pkcs11js', VERSION),
    NODE_OPTIONS: `--import ${RESOLVER.href}`,
  }
  process.env.SOFTHSM2_CONF = conf
  process.env.QKD_TEST_PKCS11 = env.QKD_TEST_PKCS11
  await import(RESOLVER.href)
  return { source: { module, token, key: 'qkd-kek', pinFile }, pin, env }
}
