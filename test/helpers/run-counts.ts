import { appendFileSync } from 'node:fs'

/** What is left of a mocha suite when a run ends. */
export interface RunSuite {
  readonly tests: readonly { state?: 'passed' | 'failed' | 'pending' | undefined; isPending(): boolean }[]
  readonly suites: readonly RunSuite[]
}

/** How a run went. A test that never ran, because a hook before it failed, counts as failed. */
export interface RunCounts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** Counts the tests below `suite`. */
export function countRun(suite: RunSuite): RunCounts {
  let [passed, failed, skipped] = [0, 0, 0]
  for (const test of suite.tests) {
    if (test.isPending()) skipped += 1
    else if (test.state === 'passed') passed += 1
    else failed += 1
  }
  for (const child of suite.suites.map(countRun)) {
    passed += child.passed
    failed += child.failed
    skipped += child.skipped
  }
  return { passed, failed, skipped }
}

/** Adds the counts as a line `passed failed skipped` to the file at `path`, for the script that sums several runs. */
export function appendCounts(path: string, { passed, failed, skipped }: RunCounts): void {
  appendFileSync(path, `${passed} ${failed} ${skipped}\n`)
}
