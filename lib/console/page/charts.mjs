import { html } from './html.mjs'
import { clock, duration } from './words.mjs'

/** @typedef {import('../sections.ts').ConsoleHistory} History */
/** @typedef {import('../sections.ts').InterruptionRow} InterruptionRow */

const HOUR_MS = 3_600_000

/**
 * A line without axes: how a stock went in the last hour. What it says stands in figures beside it.
 * @param {{ values: readonly number[] | undefined }} props
 */
export function Spark({ values = [] }) {
  const known = values.filter(value => value >= 0)
  if (known.length < 2) return null
  const top = Math.max(1, ...known)
  const step = 60 / Math.max(1, values.length - 1)
  const points = values.flatMap((value, at) =>
    value < 0 ? [] : [`${(at * step).toFixed(1)},${(13 - (12 * value) / top).toFixed(1)}`],
  )
  return html`<svg class="spark" viewBox="0 0 60 14" aria-hidden="true" preserveAspectRatio="none">
    <polyline points=${points.join(' ')} />
  </svg>`
}

/**
 * A share of the whole as a bar; its figure stands beside it.
 * @param {{ share: number, kind?: string }} props
 */
export function Bar({ share, kind = '' }) {
  const width = Math.max(0, Math.min(1, share)) * 100
  return html`<svg class=${`bar ${kind}`} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
    <rect class="track" width="100" height="8" />
    <rect class="part" width=${width.toFixed(1)} height="8" />
  </svg>`
}

const CHART = { width: 400, height: 116, left: 56, right: 6, top: 6, bottom: 16 }

/**
 * Lines over the last hour. Each has a stroke of its own besides its colour, and its name at the side.
 * @param {{ label: string, history: History, atMs: number, lines: readonly { name: string, series: string }[], words: (value: number) => string }} props
 */
export function HourChart({ label, history, atMs, lines, words }) {
  const { width, height, left, right, top, bottom } = CHART
  const values = lines.map(({ series }) => history.series[series] ?? [])
  const most = niceTop(Math.max(1, ...values.flat()))
  /** @param {number} at */
  const x = at => left + Math.max(0, 1 - (atMs - at) / HOUR_MS) * (width - left - right)
  /** @param {number} value */
  const y = value => top + (1 - value / most) * (height - top - bottom)
  const ticks = [0, 0.5, 1].map(share => share * most)
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label=${label}>
    ${ticks.map(
      tick => html`<g>
        <line class="grid" x1=${left} x2=${width - right} y1=${y(tick)} y2=${y(tick)} />
        <text class="tick end" x=${left - 5} y=${y(tick) + 3.5}>${words(tick)}</text>
      </g>`,
    )}
    ${[60, 40, 20].map(
      minutes =>
        html`<text class="tick" x=${x(atMs - minutes * 60_000) + (minutes === 60 ? 14 : 0)} y=${height - 4}>${`−${minutes} min`}</text>`,
    )}
    <text class="tick end" x=${width - right} y=${height - 4}>now</text>
    ${values.map((series, at) => html`<path class=${`line line-${at + 1}`} d=${path(series, history.atMs, x, y)} />`)}
  </svg>`
}

/**
 * What stands beside a chart: which line is which, and its value now.
 * @param {{ lines: readonly { name: string, value: string }[] }} props
 */
export function Legend({ lines }) {
  return html`<ul class="legend">
    ${lines.map(
      ({ name, value }, at) => html`<li>
        <svg class="key" viewBox="0 0 22 8" aria-hidden="true"><path class=${`line line-${at + 1}`} d="M0 4h22" /></svg>
        ${name} <b>${value}</b>
      </li>`,
    )}
  </ul>`
}

/**
 * When what did not serve within the last hour, a line for each.
 * @param {{ rows: readonly InterruptionRow[], atMs: number, most: number }} props
 */
export function Timeline({ rows, atMs, most }) {
  const names = [...new Set(rows.map(({ kind, name }) => `${kind} ${name}`))]
  if (names.length === 0)
    return html`<p class="empty">Everything has served for the last hour, as far as it was seen here.</p>`
  const shown = names.slice(0, most)
  /** @param {number} at */
  const x = at => Math.max(0, 1 - (atMs - at) / HOUR_MS) * 200
  return html`<table class="timeline">
    <caption class="unseen">Interruptions within the last hour</caption>
    <thead>
      <tr><th scope="col" width="27%">What</th><th scope="col">−60 min <span class="now">now</span></th><th scope="col" width="36%">State</th></tr>
    </thead>
    <tbody>
      ${shown.map(name => {
        const own = rows.filter(({ kind, name: own }) => `${kind} ${own}` === name)
        const last = /** @type {InterruptionRow} */ (own[0])
        return html`<tr key=${name}>
          <th scope="row" title=${name}><bdi>${name}</bdi></th>
          <td>
            <svg class="spans" viewBox="0 0 200 14" preserveAspectRatio="none" aria-hidden="true">
              <rect class="track" y="5" width="200" height="4" />
              ${own.map(({ state, fromMs, toMs }) => html`<rect class=${state} x=${Math.min(198, x(fromMs))} y=${state === 'down' ? 0 : 3} width=${Math.max(2, x(toMs ?? atMs) - x(fromMs))} height=${state === 'down' ? 14 : 8} />`)}
            </svg>
          </td>
          <td title=${last.reason}>${spanWords(last, own.length, atMs)}</td>
        </tr>`
      })}
    </tbody>
  </table>`
}

/**
 * @param {InterruptionRow} row
 * @param {number} times
 * @param {number} atMs
 * @returns {string} how it stands with what was interrupted
 */
export function spanWords({ state, fromMs, toMs }, times, atMs) {
  if (toMs === undefined) return `${state} for ${duration(atMs - fromMs)}`
  return `${state} ${times > 1 ? `${times} ×` : duration(toMs - fromMs)}, over ${clock(toMs).slice(0, 5)}`
}

/**
 * @param {readonly number[]} values
 * @param {readonly number[]} times
 * @param {(at: number) => number} x
 * @param {(value: number) => number} y
 */
function path(values, times, x, y) {
  let isOn = false
  let d = ''
  values.forEach((value, at) => {
    const time = times[at]
    if (value < 0 || time === undefined) {
      isOn = false
      return
    }
    d += `${isOn ? 'L' : 'M'}${x(time).toFixed(1)} ${y(value).toFixed(1)}`
    isOn = true
  })
  return d
}

/** @param {number} value */
function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 4, 5, 10].map(step => step * power).find(top => top >= value) ?? value
}
