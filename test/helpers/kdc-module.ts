import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** The folder of the KDC's database module. */
export const moduleDir = fileURLToPath(new URL('../../integrations/kerberos/plugin/', import.meta.url))

/** What the module's Makefile builds: the module as it is shipped, or module and test programs under sanitizers. */
type Target = 'all' | 'checked'

let dir: string | undefined
const builds = new Map<Target, Promise<string>>()

/**
 * Builds the KDC's database module, once for each target and process, into a directory that goes when the process does:
 * gives the directory in which the target's files are.
 */
export function buildKdcModule(target: Target): Promise<string> {
  let build = builds.get(target)
  if (build === undefined) {
    build = make(target)
    builds.set(target, build)
  }
  return build
}

async function make(target: Target): Promise<string> {
  if (dir === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'qkdkit-kdb-'))
    process.once('exit', () => rmSync(made, { recursive: true, force: true }))
    dir = made
  }
  await promisify(execFile)('make', ['-s', '-C', moduleDir, `OUT=${dir}`, target])
  return target === 'checked' ? join(dir, 'checked') : dir
}
