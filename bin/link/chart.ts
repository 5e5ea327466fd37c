import { type Axis, decadeAxis, linearAxis } from './axis.ts'
import { element, escapeText, label } from './svg.ts'

/** One line or one cloud of dots. `series` is the number of its colour, from 1. */
export interface Series {
  readonly name: string
  readonly series: number
  readonly points: readonly (readonly [x: number, y: number])[]
  readonly as: 'line' | 'dots'
  /** Half the height of the bar through each dot. */
  readonly spread?: readonly number[]
}

/** What a chart shows, in words and numbers. */
export interface ChartOptions {
  readonly title: string
  readonly xName: string
  readonly yName: string
  readonly xText: (value: number) => string
  readonly yText: (value: number) => string
  /** Powers of ten along the y axis; values that are not above 0 are left out. Default false. */
  readonly decades?: boolean
  /** The y axis reaches at least so far. */
  readonly yAtLeast?: number
  /** A line across at this height, with words. */
  readonly limit?: { readonly y: number; readonly text: string }
}

const WIDTH = 560
const HEIGHT = 320
const LEFT = 74
const RIGHT = 16
const TOP = 14
const BOTTOM = 46
/** What lies this far below the best is of no interest on an axis of powers. */
const MOST_DECADES = 5

/** A chart of values over values, with its legend, as a figure of HTML. */
export function xyChart(series: readonly Series[], options: ChartOptions): string {
  const xs = series.flatMap(({ points }) => points.map(([x]) => x))
  const ys = series.flatMap(({ points, spread }) => points.map(([, y], at) => y + (spread?.[at] ?? 0)))
  const x = linearAxis(Math.max(...xs, 1e-9), { from: LEFT, to: WIDTH - RIGHT }, options.xText)
  const y = yAxis(ys, options)
  const drawn = series.map(one => (one.as === 'line' ? line(one, { x, y }) : dots(one, { x, y })))
  const limitAt = options.limit === undefined ? undefined : y.at(options.limit.y)
  const limit =
    limitAt === undefined
      ? ''
      : element('path', { class: 'limit', d: `M${LEFT} ${limitAt}H${WIDTH - RIGHT}` }) +
        label(options.limit!.text, WIDTH - RIGHT, limitAt - 5, { class: 'note', 'text-anchor': 'end' })
  const body = [grid({ x, y }), names(options), limit, ...drawn].join('')
  return figure(options.title, svg(options.title, HEIGHT, body), legend(series))
}

/** Horizontal bars, longest value first to none, each with its value in words. */
export function barChart(
  bars: readonly { readonly name: string; readonly value: number; readonly text: string }[],
  { title, xName, xText }: Pick<ChartOptions, 'title' | 'xName' | 'xText'>,
): string {
  const left = 110
  const rowHeight = 36
  const bottom = TOP + rowHeight * Math.max(bars.length, 1)
  const height = bottom + BOTTOM
  // Room for the value behind the longest bar.
  const x = linearAxis(Math.max(...bars.map(({ value }) => value), 1e-9), { from: left, to: WIDTH - 90 }, xText)
  const rows = bars.map(({ name, value, text }, at) => {
    const top = TOP + rowHeight * at
    const end = x.at(value) ?? left
    return [
      label(name, left - 10, top + 22, { class: 'name', 'text-anchor': 'end' }),
      element('rect', { class: 'bar', x: left, y: top + 8, width: Math.max(end - left, 1), height: 20, rx: 3 }),
      label(text, Math.max(end, left) + 8, top + 22, { class: 'name' }),
    ].join('')
  })
  const ticks = x.ticks.map(({ value, text }) => {
    const at = x.at(value)!
    return (
      element('path', { class: 'grid', d: `M${at} ${TOP}V${bottom}` }) +
      label(text, at, bottom + 18, { class: 'tick', 'text-anchor': 'middle' })
    )
  })
  const name = label(xName, (left + WIDTH - 90) / 2, bottom + 38, { class: 'name', 'text-anchor': 'middle' })
  return figure(title, svg(title, height, [...ticks, ...rows, name].join('')), '')
}

function yAxis(values: readonly number[], { decades, yAtLeast = 0, limit, yText }: ChartOptions): Axis {
  const ends = { from: HEIGHT - BOTTOM, to: TOP }
  const highest = Math.max(...values, yAtLeast, limit?.y ?? 0, 1e-9)
  if (!decades) return linearAxis(highest, ends, yText)
  const positive = values.filter(value => value > 0)
  const lowest = Math.max(Math.min(...positive, highest), highest / 10 ** MOST_DECADES)
  return decadeAxis({ lowest, highest }, ends, yText)
}

function grid({ x, y }: { x: Axis; y: Axis }): string {
  const across = y.ticks.map(({ value, text }) => {
    const at = y.at(value)!
    return (
      element('path', { class: 'grid', d: `M${LEFT} ${at.toFixed(1)}H${WIDTH - RIGHT}` }) +
      label(text, LEFT - 8, at + 4, { class: 'tick', 'text-anchor': 'end' })
    )
  })
  const along = x.ticks.map(({ value, text }) =>
    label(text, x.at(value)!, HEIGHT - BOTTOM + 18, { class: 'tick', 'text-anchor': 'middle' }),
  )
  return [...across, ...along].join('')
}

function names({ xName, yName }: ChartOptions): string {
  const middle = (TOP + HEIGHT - BOTTOM) / 2
  return (
    label(xName, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, { class: 'name', 'text-anchor': 'middle' }) +
    label(yName, 14, middle, { class: 'name', 'text-anchor': 'middle', transform: `rotate(-90 14 ${middle})` })
  )
}

/** A line that breaks off where the axes end. */
function line({ points, series, name }: Series, { x, y }: { x: Axis; y: Axis }): string {
  let pen = 'M'
  let path = ''
  for (const [px, py] of points) {
    const [at, height] = [x.at(px), y.at(py)]
    if (at === undefined || height === undefined) {
      pen = 'M'
      continue
    }
    path += `${pen}${at.toFixed(1)} ${height.toFixed(1)}`
    pen = 'L'
  }
  return element('path', { class: `line s${series}`, d: path }, element('title', {}, escapeText(name)))
}

function dots({ points, series, name, spread }: Series, { x, y }: { x: Axis; y: Axis }): string {
  return points
    .map(([px, py], at) => {
      const [cx, cy] = [x.at(px), y.at(py)]
      if (cx === undefined || cy === undefined) return ''
      const half = spread?.[at] ?? 0
      const [low, high] = [y.at(Math.max(py - half, 0)), y.at(py + half)]
      const bar =
        half === 0 || low === undefined || high === undefined
          ? ''
          : element('path', { class: `spread s${series}`, d: `M${cx} ${low.toFixed(1)}V${high.toFixed(1)}` })
      return (
        bar + element('circle', { class: `dot s${series}`, cx, cy, r: 4.5 }, element('title', {}, escapeText(name)))
      )
    })
    .join('')
}

function svg(title: string, height: number, body: string): string {
  return element('svg', { viewBox: `0 0 ${WIDTH} ${height}`, role: 'img', 'aria-label': title }, body)
}

function figure(title: string, drawing: string, key: string): string {
  return element('figure', {}, element('figcaption', {}, escapeText(title)), key, drawing)
}

function legend(series: readonly Series[]): string {
  const entries = series.map(({ name, series: colour, as }) =>
    element('li', {}, element('span', { class: `key ${as} s${colour}` }), escapeText(name)),
  )
  return element('ul', { class: 'legend' }, ...entries)
}
