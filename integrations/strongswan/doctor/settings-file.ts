import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { ConfigError } from '../../../lib/index.ts'

/** A section of a file in strongSwan's own format: strongswan.conf and swanctl.conf. */
export interface SettingsSection {
  readonly values: Map<string, string>
  readonly sections: Map<string, SettingsSection>
}

const MAX_FILES = 1_000
const MAX_INCLUDES_DEEP = 10
const MAX_SECTIONS_DEEP = 32
const MAX_FILE_BYTES = 4 * 1024 * 1024

/**
 * Reads a settings file with all that it includes. What is said twice counts as it was said last, sections are merged.
 * @throws {ConfigError} a file can't be read or is none of the format; says where
 */
export async function readSettings(path: string): Promise<SettingsSection> {
  const root = emptySection()
  await readInto(root, path, { files: 0 }, 0)
  return root
}

/** An empty section. */
export function emptySection(): SettingsSection {
  return { values: new Map(), sections: new Map() }
}

/** The value at a dotted path, such as `charon.make_before_break`. */
export function valueAt(section: SettingsSection | undefined, path: string): string | undefined {
  const names = path.split('.')
  const last = names.pop()!
  return sectionAt(section, names)?.values.get(last)
}

/** The section behind the names; undefined where there is none. */
export function sectionAt(section: SettingsSection | undefined, names: readonly string[]): SettingsSection | undefined {
  return names.reduce<SettingsSection | undefined>((found, name) => found?.sections.get(name), section)
}

async function readInto(into: SettingsSection, path: string, count: { files: number }, depth: number): Promise<void> {
  count.files += 1
  if (count.files > MAX_FILES) throw new ConfigError(`${path}: more than ${MAX_FILES} files are included`)
  if (depth > MAX_INCLUDES_DEEP) throw new ConfigError(`${path}: files include each other too deep`)
  const reader = new SettingsReader(path, await readText(path))
  await reader.readSection(into, 0, async (section, pattern) => {
    const from = isAbsolute(pattern) ? pattern : join(dirname(path), pattern)
    for (const file of await filesOf(from)) await readInto(section, file, count, depth + 1)
  })
}

async function readText(path: string): Promise<string> {
  try {
    const { size } = await stat(path)
    if (size > MAX_FILE_BYTES) throw new ConfigError(`${path}: is larger than ${MAX_FILE_BYTES} bytes`)
    return await readFile(path, 'utf8')
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause
    throw new ConfigError(`${path}: can't be read (${(cause as NodeJS.ErrnoException).code})`, { cause })
  }
}

/** Files that fit a pattern whose last part may have `*` and `?`. Like charon, passes over what is not there. */
async function filesOf(pattern: string): Promise<string[]> {
  if (!/[*?]/.test(pattern)) return [pattern].filter(Boolean)
  const source = basename(pattern)
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  const names = await readdir(dirname(pattern)).catch(() => [])
  const fitting = names.filter(name => new RegExp(`^${source}$`, 's').test(name) && !name.startsWith('.'))
  return fitting.sort().map(name => join(dirname(pattern), name))
}

type Include = (section: SettingsSection, pattern: string) => Promise<void>

/** Goes over the text once; a section ends at its brace, the file at its end. */
class SettingsReader {
  readonly #path: string
  readonly #text: string
  #at = 0

  constructor(path: string, text: string) {
    this.#path = path
    this.#text = text
  }

  async readSection(section: SettingsSection, depth: number, include: Include): Promise<void> {
    if (depth > MAX_SECTIONS_DEEP) throw this.#fault('sections are nested too deep')
    for (;;) {
      this.#take(/(?:\s|#[^\n]*)*/y)
      if (this.#at >= this.#text.length) {
        if (depth > 0) throw this.#fault('a section has no closing brace')
        return
      }
      if (this.#take(/\}/y) !== undefined) {
        if (depth === 0) throw this.#fault('a closing brace has no section')
        return
      }
      const included = this.#take(/include[ \t]+[^\n#]*/y)
      if (included !== undefined) {
        await include(
          section,
          included
            .slice('include'.length)
            .trim()
            .replace(/^"(.*)"$/, '$1'),
        )
        continue
      }
      await this.#readEntry(section, depth, include)
    }
  }

  async #readEntry(section: SettingsSection, depth: number, include: Include): Promise<void> {
    const name = this.#take(/[^\s{}=:#"]+/y)
    if (name === undefined) throw this.#fault('a name is missing')
    this.#take(/[ \t]*/y)
    if (this.#take(/=/y) !== undefined) {
      this.#take(/[ \t]*/y)
      section.values.set(name, this.#readValue())
      return
    }
    // What a section takes over from others doesn't change what it says itself.
    this.#take(/:[^{\n]*/y)
    if (this.#take(/\s*\{/y) === undefined) throw this.#fault(`"${name}" has neither a value nor a section`)
    const inner = section.sections.get(name) ?? emptySection()
    section.sections.set(name, inner)
    await this.readSection(inner, depth + 1, include)
  }

  #readValue(): string {
    const quoted = this.#take(/"(?:[^"\\]|\\.)*"/sy)
    if (quoted !== undefined) {
      const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t', '\n': '' }
      return quoted.slice(1, -1).replace(/\\(.)/gs, (_, character: string) => escapes[character] ?? character)
    }
    return (this.#take(/[^\n#}]*/y) ?? '').trim()
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0]
    this.#at += found?.length ?? 0
    return found
  }

  #fault(what: string): ConfigError {
    const line = this.#text.slice(0, this.#at).split('\n').length
    return new ConfigError(`${this.#path}:${line}: ${what}`)
  }
}
