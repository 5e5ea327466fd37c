import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Source } from './source-tokens.ts'

/** Top of the tree. */
export const top = fileURLToPath(new URL('../../', import.meta.url))

/** The file at `path` from the top. */
export function readSource(path: string): Source {
  return { path, text: readFileSync(join(top, path), 'utf8') }
}

/** Every source file below the folders, in order of their paths. */
export function readSources(...folders: string[]): Source[] {
  return folders
    .filter(folder => existsSync(join(top, folder)))
    .flatMap(folder => readdirSync(join(top, folder), { withFileTypes: true, recursive: true }))
    .filter(entry => entry.isFile() && /\.(ts|mjs|js)$/.test(entry.name))
    .map(entry => relative(top, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort()
    .map(readSource)
}
