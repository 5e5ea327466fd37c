import assert from 'node:assert/strict'
import type { Telemetry, TelemetryEvent, TelemetrySource } from '../../lib/interface/telemetry.ts'
import { runSuite, type TestSetup } from './suite.ts'

const event = (text: string): TelemetryEvent => ({
  type: 'alarm',
  id: 'test',
  severity: 'warning',
  state: 'raised',
  text,
})

/** What both ends of a telemetry stream hold to. */
export function telemetryCompliance(setup: TestSetup<{ telemetry: Telemetry & TelemetrySource }>): void {
  runSuite('Telemetry', setup, [
    [
      'gives each event to every subscriber, in order, with a time',
      async ({ telemetry }) => {
        const seen: [string, number][][] = [[], []]
        const ends = seen.map(list => telemetry.subscribe((heard, atMs) => list.push([JSON.stringify(heard), atMs])))
        for (const text of ['one', 'two', 'three']) telemetry.emit(event(text))
        for (const end of ends) end()
        for (const list of seen) {
          assert.deepEqual(
            list.map(([text]) => text),
            ['one', 'two', 'three'].map(text => JSON.stringify(event(text))),
          )
          assert.ok(list.every(([, atMs]) => Number.isFinite(atMs)))
        }
      },
    ],
    [
      'never calls a subscriber that has left',
      async ({ telemetry }) => {
        let calls = 0
        const leave = telemetry.subscribe(() => {
          calls += 1
        })
        leave()
        leave()
        telemetry.emit(event('late'))
        assert.equal(calls, 0)
      },
    ],
    [
      'never throws into the layer that reports, whatever its readers do',
      async ({ telemetry }) => {
        let heard = 0
        const ends = [
          telemetry.subscribe(() => {
            throw new Error('a reader that fails')
          }),
          telemetry.subscribe(() => {
            heard += 1
          }),
        ]
        telemetry.emit(event('x'))
        for (const end of ends) end()
        assert.equal(heard, 1)
      },
    ],
    [
      'keeps the last value of each gauge, one for each set of labels',
      async ({ telemetry }) => {
        telemetry.gauge('pool_leased_cells', { peer: 'site-x' }, 1)
        telemetry.gauge('pool_leased_cells', { peer: 'site-x' }, 2)
        telemetry.gauge('pool_leased_cells', { peer: 'site-y' }, 3)
        const values = telemetry
          .readings()
          .filter(({ name, labels }) => name === 'pool_leased_cells' && /^site-[xy]$/.test(labels.peer ?? ''))
          .map(({ labels, value }) => [labels.peer, value])
        assert.deepEqual(values.sort(), [
          ['site-x', 2],
          ['site-y', 3],
        ])
      },
    ],
  ])
}
