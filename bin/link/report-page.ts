import type { DesignPoint, LinkSimulation } from '../../lib/index.ts'
import { barChart, type Series, xyChart } from './chart.ts'
import { reportStyle } from './report-style.ts'
import { element, escapeText } from './svg.ts'
import { countText, percentText, rateText, timeText } from './units.ts'
import { describeLink, outcomeText, verdictText } from './words.ts'

/**
 * A simulation as one HTML page that needs nothing else: no script, no font, no picture from elsewhere.
 * @param curve the same devices at lengths from 0 to beyond their reach
 */
export function reportPage(simulation: LinkSimulation, curve: readonly DesignPoint[]): string {
  const charts = [
    rateChart(simulation, curve),
    qberChart(simulation, curve),
    efficiencyChart(simulation),
    stageChart(simulation),
  ]
  const title = `${simulation.presetName}, ${simulation.design.lengthKm} km: simulated QKD link`
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    element('title', {}, escapeText(title)),
    `<style>${reportStyle}</style>`,
    '</head>',
    '<body>',
    '<main>',
    element('h1', {}, escapeText(describeLink(simulation))),
    element('p', { class: 'verdict' }, escapeText(verdictText(simulation))),
    tiles(simulation),
    element('div', { class: 'charts' }, ...charts),
    blockTable(simulation),
    parameters(simulation),
    '</main>',
    '</body>',
    '</html>',
    '',
  ].join('\n')
}

function tiles({ rateBps, expected, qber, efficiency, deliveredBits, linkS }: LinkSimulation): string {
  const tile = (name: string, value: string, note: string) =>
    element(
      'li',
      {},
      element('span', {}, escapeText(name)),
      element('strong', {}, escapeText(value)),
      element('span', {}, escapeText(note)),
    )
  return element(
    'ul',
    { class: 'tiles' },
    tile('Secret key rate', rateText(rateBps), `expected without Eve: ${rateText(expected.plan.rateBps)}`),
    tile('Error rate', percent(qber), `expected without Eve: ${percentText(expected.plan.qber)}`),
    tile('Correction', efficiency?.toFixed(3) ?? 'none', 'parities over the Shannon limit'),
    tile('Key delivered', `${countText(deliveredBits)} bits`, `in ${timeText(linkS)} of the link`),
  )
}

function rateChart({ design, rateBps }: LinkSimulation, curve: readonly DesignPoint[]): string {
  const line = (name: string, series: number, rate: (point: DesignPoint) => number): Series => ({
    name,
    series,
    as: 'line',
    points: curve.map(point => [point.lengthKm, rate(point)]),
  })
  return xyChart(
    [
      line('infinitely many decoys, long keys', 1, point => point.infiniteDecoysBps),
      line('vacuum and weak decoy, long keys', 2, point => point.vacuumWeakBps),
      line(`blocks of ${countText(design.blockBits)} bits`, 3, point => point.finiteBlocksBps),
      { name: 'this run', series: 4, as: 'dots', points: [[design.lengthKm, rateBps]] },
    ],
    {
      title: 'Key rate over distance',
      xName: 'distance, km',
      yName: 'secret key rate',
      xText: String,
      yText: rateText,
      decades: true,
    },
  )
}

function qberChart({ design, blocks, expected }: LinkSimulation, curve: readonly DesignPoint[]): string {
  const seen = blocks.filter(({ estimate }) => estimate !== undefined)
  const rates = seen.map(({ qber, estimate }) => qber ?? estimate!.rate)
  const spreads = seen.map(({ estimate }) => (estimate!.upper - estimate!.lower) / 2)
  return xyChart(
    [
      {
        name: 'expected without Eve',
        series: 1,
        as: 'line',
        points: curve.map(({ lengthKm, qber }) => [lengthKm, 100 * qber]),
      },
      {
        name: 'blocks of this run, with the interval of the estimate',
        series: 4,
        as: 'dots',
        points: rates.map(rate => [design.lengthKm, 100 * rate]),
        spread: spreads.map(spread => 100 * spread),
      },
    ],
    {
      title: 'QBER over distance',
      xName: 'distance, km',
      yName: 'error rate of the sifted key, %',
      xText: String,
      yText: value => `${Number(value.toFixed(2))}`,
      yAtLeast: 100 * expected.qber,
      limit: { y: 11, text: 'limit of the session, 11 %' },
    },
  )
}

function efficiencyChart({ blocks }: LinkSimulation): string {
  const points = blocks.flatMap(({ efficiency }, at): [number, number][] =>
    efficiency === undefined ? [] : [[at + 1, 100 * (efficiency - 1)]],
  )
  return xyChart(
    [{ name: points.length === 0 ? 'no block was corrected' : 'a block', series: 3, as: 'dots', points }],
    {
      title: 'Cascade efficiency',
      xName: 'block',
      yName: 'parities above the Shannon limit, %',
      xText: value => (Number.isInteger(value) ? String(value) : ''),
      yText: value => String(Number(value.toFixed(2))),
      yAtLeast: 6,
      limit: { y: 6, text: 'goal of the default variant, 6 % (f = 1.06)' },
    },
  )
}

function stageChart({ stageBps }: LinkSimulation): string {
  const bars = Object.entries(stageBps).map(([name, value]) => ({ name, value: value / 1e6, text: rateText(value) }))
  return barChart(bars, {
    title: 'Stage throughputs',
    xName: 'sifted bits at Alice’s end, both ends on one core, Mb/s',
    xText: value => String(Number(value.toFixed(1))),
  })
}

function blockTable({ blocks }: LinkSimulation): string {
  const head = [
    'Block',
    'Clicks',
    'Sifted bits',
    'QBER',
    'Told bits',
    'Phase errors, at most',
    'Secret bits',
    'ε',
    'Outcome',
  ]
  const rows = blocks.map((block, at) => [
    String(at + 1),
    countText(block.clicks),
    countText(block.siftedBits),
    percent(block.qber ?? block.estimate?.rate),
    countText(block.leakedBits),
    percent(block.bounds?.phaseErrorRate),
    countText(block.secretBits),
    block.epsilon === 0 ? '–' : block.epsilon.toExponential(1),
    outcomeText(block),
  ])
  const cells = (name: string, row: readonly string[]) =>
    element('tr', {}, ...row.map(text => element(name, {}, escapeText(text))))
  return element(
    'section',
    {},
    element('h2', {}, 'Blocks'),
    element(
      'div',
      { class: 'scroll' },
      element(
        'table',
        {},
        element('thead', {}, cells('th', head)),
        element('tbody', {}, ...rows.map(row => cells('td', row))),
      ),
    ),
  )
}

function parameters({ design, expected, interceptFraction }: LinkSimulation): string {
  const { receiver, source } = design.preset
  const { protocol } = expected.plan
  const list = (values: readonly number[]) => values.join(', ')
  const rows: [string, string][] = [
    ['Source of the preset', source],
    ['Clock', `${receiver.clockHz / 1e6} MHz`],
    ...pathRows(design),
    ['Receiver efficiency', String(receiver.receiverEfficiency)],
    ['Background per gate', receiver.backgroundYield.toExponential(2)],
    ['Misalignment', percentText(receiver.misalignment)],
    ['Intensities (signal, weak, vacuum)', list(protocol.intensities)],
    ['Their probabilities', list(protocol.probabilities)],
    ['Probability of the key basis', String(protocol.keyBasisProbability)],
    ['Intercepted share', percentText(interceptFraction)],
    ...Object.entries(design.classical ?? {}).map(([name, value]): [string, string] => [
      `Classical light: ${name}`,
      String(value),
    ]),
  ]
  const terms = rows.map(([term, text]) => element('dt', {}, escapeText(term)) + element('dd', {}, escapeText(text)))
  return element('section', {}, element('h2', {}, 'Parameters'), element('dl', {}, ...terms))
}

function pathRows({ preset }: LinkSimulation['design']): [string, string][] {
  const { receiver, air } = preset
  if (air === undefined) return [['Fibre', `${receiver.fibreLossDbPerKm} dB/km`]]
  return Object.entries(air).map(([name, value]) => [`Air: ${name}`, String(value)])
}

function percent(share: number | undefined): string {
  return share === undefined ? '–' : percentText(share)
}
