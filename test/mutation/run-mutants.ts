import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createTempDir } from '../helpers/temp-dir.ts'
import type { Mutant } from './mutants.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
/** What a test of the TLS integration needs; nothing is built, so it is the source that runs. */
const COPIED = ['lib', 'integrations', 'bin', 'test', 'package.json', 'tsconfig.json', '.mocharc.json']
/** A defence is often missed by waiting for what no longer comes. */
const TEST_TIMEOUT_MS = 10_000
const RUN_TIMEOUT_MS = 90_000

/** What became of a mutant. */
export interface MutantOutcome {
  readonly mutant: Mutant
  /** True where its test went red; false where it did not notice, or did not run. */
  readonly killed: boolean
  /** What the test said, in a line. */
  readonly message: string
}

/** Options of `runMutants`. */
export interface MutantOptions {
  /** Copies of the source that are tested at once. Default 2. */
  readonly concurrency?: number
  readonly onOutcome?: (outcome: MutantOutcome) => void
}

/** The source with a mutant's patch; throws where that no longer fits. */
export async function patched({ without, file, find, replace }: Mutant, root = ROOT): Promise<string> {
  const source = await readFile(join(root, file), 'utf8')
  const parts = source.split(find)
  if (parts.length !== 2) throw new Error(`The mutant without ${without}: ${parts.length - 1} places in ${file} fit`)
  return parts.join(replace)
}

/**
 * Takes one defence after the other out of a copy of the source and runs the test that is to notice; first of all, each of
 * these tests on the source as it is. Nothing in the project itself is changed.
 * @throws {Error} a patch does not fit, or a test fails on the source as it is
 */
export async function runMutants(mutants: readonly Mutant[], options: MutantOptions = {}): Promise<MutantOutcome[]> {
  const { concurrency = 2, onOutcome = () => {} } = options
  const outcomes: MutantOutcome[] = []
  const waiting = [...mutants]
  const work = async (first: boolean) => {
    await using copy = await createTempDir('qkdkit-mutant-')
    await copySource(copy.path)
    if (first) await requireGreen(copy.path, mutants)
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const outcome = await runMutant(copy.path, mutant)
      outcomes.push(outcome)
      onOutcome(outcome)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, (_, i) => work(i === 0)))
  return outcomes
}

/** Copies what runs and its tests into an empty directory, so that it can be changed there. */
export async function copySource(to: string): Promise<void> {
  for (const name of COPIED) await cp(join(ROOT, name), join(to, name), { recursive: true })
  await symlink(join(ROOT, 'node_modules'), join(to, 'node_modules'))
}

async function requireGreen(root: string, mutants: readonly Mutant[]): Promise<void> {
  const { passed, failed } = await runTests(root, mutants)
  const red = mutants.find(({ title }) => !passed.has(title))
  if (red !== undefined)
    throw new Error(`Without any patch: ${red.title}: ${failed.get(red.title) ?? 'it did not run'}`)
}

async function runMutant(root: string, mutant: Mutant): Promise<MutantOutcome> {
  const path = join(root, mutant.file)
  const source = await readFile(path, 'utf8')
  await writeFile(path, await patched(mutant, root))
  try {
    const { failed } = await runTests(root, [mutant])
    const message = failed.get(mutant.title)
    return { mutant, killed: message !== undefined, message: message ?? 'the test did not notice' }
  } finally {
    await writeFile(path, source)
  }
}

/** What the named tests said, by their full titles. */
async function runTests(root: string, tests: readonly Pick<Mutant, 'test' | 'title'>[]) {
  const titles = tests.map(({ title }) => title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  const words = [
    '--reporter',
    'json',
    '--exit',
    '--timeout',
    String(TEST_TIMEOUT_MS),
    '--grep',
    `^(${titles.join('|')})$`,
  ]
  const files = new Set(tests.map(({ test }) => test))
  const { QKD_TEST_COUNTS: _, NODE_OPTIONS: __, ...env } = process.env
  const child = spawn(process.execPath, ['node_modules/mocha/bin/mocha.js', ...words, ...files], { cwd: root, env })
  const timer = setTimeout(() => child.kill('SIGKILL'), RUN_TIMEOUT_MS)
  const [stdout, stderr] = await Promise.all([child.stdout.toArray(), child.stderr.toArray(), once(child, 'close')])
  clearTimeout(timer)
  const text = Buffer.concat(stdout).toString()
  const report = parseReport(text)
  if (report === undefined) throw new Error(`mocha gave no report: ${text}${Buffer.concat(stderr)}`)
  return {
    passed: new Set(report.passes.map(({ fullTitle }) => fullTitle)),
    failed: new Map(report.failures.map(({ fullTitle, err }) => [fullTitle, firstLine(err.message ?? '')])),
  }
}

interface Report {
  readonly passes: readonly { readonly fullTitle: string }[]
  readonly failures: readonly { readonly fullTitle: string; readonly err: { readonly message?: string } }[]
}

/** The report, which stands between what tests and hooks print. */
function parseReport(text: string): Report | undefined {
  const from = text.indexOf('{\n  "stats"')
  const to = text.indexOf('\n}', from)
  return from < 0 || to < 0 ? undefined : (JSON.parse(text.slice(from, to + 2)) as Report)
}

function firstLine(text: string): string {
  return text.split('\n')[0]!.slice(0, 120)
}
