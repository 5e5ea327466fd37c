import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** The checkout as JavaScript, in a folder that is removed afterwards. */
export interface Built extends AsyncDisposable {
  /** Imports a module by its path in the checkout, without ending. */
  load(path: string): Promise<unknown>
}

/** Compiles what the benches of TLS, of ETSI 014 and of workers need, within `node_modules`, so that packages are found from there. */
export async function buildToRun(): Promise<Built> {
  const cache = join(root, 'node_modules', '.cache')
  await mkdir(cache, { recursive: true })
  const dir = await mkdtemp(join(cache, 'qkdkit-bench-'))
  const remove = () => rm(dir, { recursive: true, force: true })
  try {
    const config = {
      extends: join(root, 'tsconfig.build.json'),
      compilerOptions: { outDir: dir, rootDir: root, declaration: false, noCheck: true, types: [] },
      include: [
        'lib',
        'integrations',
        'bench/tls',
        'bench/etsi014',
        'bench/workers',
        'bench/report.ts',
        'test/helpers',
      ].map(path => join(root, path)),
    }
    await writeFile(join(dir, 'package.json'), JSON.stringify({ type: 'module' }))
    await writeFile(join(dir, 'tsconfig.json'), JSON.stringify(config))
    const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    await promisify(execFile)(process.execPath, [compiler, '-p', join(dir, 'tsconfig.json')])
    await cp(join(root, 'lib/util/source-thread.mjs'), join(dir, 'lib/util/source-thread.mjs'))
  } catch (error) {
    await remove()
    throw error
  }
  return {
    load: path => import(pathToFileURL(join(dir, `${path}.js`)).href),
    [Symbol.asyncDispose]: remove,
  }
}
