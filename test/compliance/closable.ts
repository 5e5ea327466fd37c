import type { Closable } from '../../lib/interface/lifecycle.ts'
import { runSuite, type TestSetup } from './suite.ts'

/** A way to open fresh ones, because a closed one is of no more use. */
export interface ClosableFixture {
  open(): Promise<Closable>
}

/** What everything that is opened holds to when it is closed. */
export function closableCompliance(setup: TestSetup<ClosableFixture>): void {
  runSuite('Closable', setup, [
    [
      'closes twice as well as once, one after the other and at the same time',
      async ({ open }) => {
        const one = await open()
        await one.close()
        await one.close()
        const two = await open()
        await Promise.all([two.close(), two.close(), two.close()])
      },
    ],
    [
      'is closed by the end of an await using block: closing it again does no harm',
      async ({ open }) => {
        let kept: Closable
        {
          await using one = await open()
          kept = one
        }
        await kept.close()
      },
    ],
  ])
}
