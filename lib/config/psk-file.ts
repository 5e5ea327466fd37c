import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { SkipConfig, SkipConfigFile } from './skip-config.ts'
import { type Findings, openToOthers, unreadable } from './tls-files.ts'

const HEX_KEY = /^(?:[0-9a-f]{2}){16,64}$/i

/** `skip` with its defaults and with the pre-shared keys read; what can't be read stands in `findings`. */
export async function readSkip(
  baseDir: string,
  { listen, systems = [], psks = [] }: SkipConfigFile,
  findings: Findings,
): Promise<SkipConfig> {
  const read: SkipConfig['psks'][number][] = []
  for (const [index, { file, ...psk }] of psks.entries()) {
    const key = await readHexKey(resolve(baseDir, file), `/skip/psks/${index}/file`, findings)
    if (key !== undefined) read.push({ ...psk, key })
  }
  return { listen: listen as SkipConfig['listen'], systems, psks: read }
}

async function readHexKey(path: string, pointer: string, { faults }: Findings): Promise<Buffer | undefined> {
  try {
    const open = await openToOthers(path)
    if (open !== undefined) faults.push({ path: pointer, message: open })
    const text = (await readFile(path, 'latin1')).trim()
    if (HEX_KEY.test(text)) return Buffer.from(text, 'hex')
    faults.push({
      path: pointer,
      message: `${path} must have 32 to 128 hex digits; make it with: openssl rand -hex 32`,
    })
  } catch (error) {
    faults.push({ path: pointer, message: unreadable(path, error) })
  }
  return undefined
}
