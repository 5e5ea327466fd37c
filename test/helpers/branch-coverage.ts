import { type Debugger, type Profiler, Session } from 'node:inspector/promises'

/** How much of a module ran. */
export interface BranchCoverage {
  /** Blocks of code between branches, as V8 counts them. */
  readonly branches: number
  readonly covered: number
  /** The text of those that did not run. */
  readonly missed: readonly string[]
}

/**
 * Counts which branches of the modules with these names run during `work`. A module is named by the end of its URL; it must be
 * loaded already. Blocks that run as often as what is around them are not told apart from it.
 */
export async function branchCoverage(
  names: readonly string[],
  work: () => Promise<void>,
): Promise<Map<string, BranchCoverage>> {
  using session = openSession()
  await session.post('Debugger.enable')
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  await work()
  const { result } = await session.post('Profiler.takePreciseCoverage')
  const found = new Map<string, BranchCoverage>()
  for (const name of names) {
    const script = result.find(({ url }) => url.endsWith(name))
    if (script === undefined) throw new Error(`No module ${name} was loaded`)
    const { scriptSource } = await session.post('Debugger.getScriptSource', { scriptId: script.scriptId })
    found.set(name, coverageOf(script, scriptSource))
  }
  return found
}

type Opened = Session &
  Disposable & { post(method: string, params?: object): Promise<Debugger.GetScriptSourceReturnType> }

function openSession(): Opened {
  const session = new Session()
  session.connect()
  return Object.assign(session, { [Symbol.dispose]: () => session.disconnect() }) as unknown as Opened
}

function coverageOf({ functions }: Profiler.ScriptCoverage, source: string): BranchCoverage {
  // What a module does as it is loaded was over before.
  const ranges = functions
    .filter(({ functionName, ranges: [whole] }) => functionName !== '<static_initializer>' && whole!.startOffset > 0)
    .flatMap(({ ranges }) => ranges)
  const missed = ranges
    .filter(({ count }) => count === 0)
    .map(range => source.slice(range.startOffset, range.endOffset))
  return { branches: ranges.length, covered: ranges.length - missed.length, missed }
}
