import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'

/** A file of the page as it goes to the browser. */
export interface PageFile {
  readonly type: string
  readonly body: Buffer
  readonly gzip: Buffer
}

const SCRIPT = 'text/javascript; charset=utf-8'

/** The page's own scripts. */
const SCRIPTS = [
  'app',
  'charts',
  'connection',
  'html',
  'icons',
  'keyboard',
  'network-map',
  'service-panels',
  'supply-panels',
  'tables',
  'trouble-panels',
  'words',
] as const

/** Every file that the browser is given, by its path. There are no others: nothing is looked up by a name from outside. */
const FILES: Readonly<Record<string, { readonly from: string; readonly type: string }>> = {
  '/': { from: './page/index.html', type: 'text/html; charset=utf-8' },
  '/style.css': { from: './page/style.css', type: 'text/css; charset=utf-8' },
  '/icon.svg': { from: './page/icon.svg', type: 'image/svg+xml' },
  ...Object.fromEntries(SCRIPTS.map(name => [`/${name}.mjs`, { from: `./page/${name}.mjs`, type: SCRIPT }])),
}

const packages = createRequire(import.meta.url)

/** Packages that the page is drawn with, and where the browser finds them: it can't resolve their names. */
const PACKAGES: Readonly<Record<string, string>> = { preact: '/preact.mjs', htm: '/htm.mjs' }

/** Reads the page's files once; a few dozen kilobytes. */
export async function readPageFiles(): Promise<ReadonlyMap<string, PageFile>> {
  const files = new Map<string, PageFile>()
  for (const [path, { from, type }] of Object.entries(FILES)) {
    const text = await readFile(new URL(from, import.meta.url), 'utf8')
    files.set(path, pageFile(type, path === '/html.mjs' ? withPaths(text) : text))
  }
  for (const [name, path] of Object.entries(PACKAGES)) {
    const text = await readFile(join(dirname(packages.resolve(name)), `${name}.mjs`), 'utf8')
    // The map would be asked for by a browser's tools, and is not there.
    files.set(path, pageFile(SCRIPT, text.replace(/^\/\/# sourceMappingURL=.*$/m, '')))
  }
  return files
}

function withPaths(text: string): string {
  return text.replaceAll(/(from ')(\w+)(')/g, (all, before, name, after) =>
    PACKAGES[name] === undefined ? all : `${before}${PACKAGES[name]}${after}`,
  )
}

function pageFile(type: string, text: string): PageFile {
  const body = Buffer.from(text)
  return { type, body, gzip: gzipSync(body, { level: 9 }) }
}
