/**
 * Root hooks of every test run. At its end they print the compliance matrix, write the counts to the file that
 * `QKD_TEST_COUNTS` names, and see to it that a run that leaves something open ends and fails instead of hanging.
 */
import { compliance } from '../compliance/matrix.ts'
import { appendCounts, countRun, type RunSuite } from './run-counts.ts'

/** How long a finished run may stay alive before it fails, in milliseconds. */
const LINGER_MS = 10_000

interface HookContext {
  readonly test?: { readonly parent?: RunSuite }
}

export const mochaHooks = {
  afterAll(this: HookContext): void {
    const table = compliance.toTable()
    if (table !== '') console.log(`\n${table}`)
    const root = this.test?.parent
    if (process.env.QKD_TEST_COUNTS !== undefined && root !== undefined) {
      appendCounts(process.env.QKD_TEST_COUNTS, countRun(root))
    }
    setTimeout(() => {
      console.error(`The run is over, but these keep the process alive: ${process.getActiveResourcesInfo().join(', ')}`)
      process.exit(1)
    }, LINGER_MS).unref()
  },
}
