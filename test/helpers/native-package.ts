import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** The folder of its own in which a package that must be compiled is installed for tests: `npm ci` does without it. */
export function nativePackageDir(name: string, version: string): string {
  return fileURLToPath(new URL(`../../.cache/${name}-${version}/`, import.meta.url))
}

/** Installs a package there, unless what it compiles (`built`, inside the package) is there already. */
export async function installNative(name: string, version: string, built: string): Promise<void> {
  const dir = nativePackageDir(name, version)
  if (existsSync(join(dir, 'node_modules', name, built))) return
  await mkdir(dir, { recursive: true })
  // The headers of the Node that runs, where they are beside it: otherwise node-gyp fetches them.
  const prefix = dirname(dirname(process.execPath))
  const hasHeaders = existsSync(join(prefix, 'include/node/node.h'))
  await promisify(execFile)(
    'npm',
    [
      'install',
      '--prefix',
      dir,
      '--ignore-scripts=false',
      '--no-audit',
      '--no-fund',
      '--no-save',
      `${name}@${version}`,
    ],
    { cwd: dir, timeout: 150_000, env: { ...process.env, ...(hasHeaders && { npm_config_nodedir: prefix }) } },
  )
}
