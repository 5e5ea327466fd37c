import { compliance } from './matrix.ts'

/** The functions of a mocha-like runner that a suite needs; taken from the global scope when none are passed. */
export interface Runner {
  describe(name: string, body: () => void): void
  it(name: string, body: () => Promise<void>): void
  before(body: () => Promise<void>): void
  after(body: () => Promise<void>): void
}

/** How a suite gets its backend. One fixture serves all cases of one run of the suite, in order. */
export interface TestSetup<T> {
  /** Name of the backend, as the matrix prints it. */
  readonly backend: string
  setup(): Promise<T>
  teardown(fixture: T): Promise<void>
  /** Cases this backend can't meet, each with the reason that the matrix prints. */
  readonly skip?: Readonly<Record<string, string>>
}

/** A case: its name in the present tense, and what it does with the fixture. */
export type ComplianceCase<T> = readonly [name: string, run: (fixture: T) => Promise<void>]

/** Runs `cases` of `contract` against one backend and records every outcome in the matrix. */
export function runSuite<T>(
  contract: string,
  setup: TestSetup<T>,
  cases: readonly ComplianceCase<T>[],
  runner: Runner = globalThis as unknown as Runner,
): void {
  runner.describe(`${contract} compliance: ${setup.backend}`, () => {
    let fixture: T | undefined
    runner.before(async () => {
      fixture = await setup.setup()
    })
    runner.after(async () => {
      // A setup that failed left nothing to tear down, and its error is the one to be seen.
      if (fixture !== undefined) await setup.teardown(fixture)
    })
    for (const [name, run] of cases) {
      const reason = setup.skip?.[name]
      if (reason !== undefined) {
        compliance.record(contract, setup.backend, name, { skipped: reason })
        continue
      }
      runner.it(name, async () => {
        compliance.record(contract, setup.backend, name, 'failed')
        await run(fixture as T)
        compliance.record(contract, setup.backend, name, 'passed')
      })
    }
  })
}
