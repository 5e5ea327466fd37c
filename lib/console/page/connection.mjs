/** @typedef {import('../sections.ts').ConsoleSections} Sections */
/** @typedef {import('../sections.ts').ConsoleHistory} History */

/**
 * What is known now.
 * @typedef {object} State
 * @property {'connecting' | 'live' | 'lost'} connection
 * @property {Sections | undefined} sections undefined before the first word
 * @property {History} history
 * @property {number} atMs the server's time of the last word
 * @property {number} heardMs when it came, by `performance.now()`
 * @property {number} retryMs when the next try comes, by `performance.now()`, while lost
 */

const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 30_000
/** No word for so long is a lost server, even if its connection seems to stand. */
export const STALE_MS = 5_000

/**
 * Follows the server's events for as long as the page is open: a connection that ends is opened again, after pauses that grow.
 * @param {(state: State) => void} onState called with each change
 */
export function follow(onState) {
  /** @type {State} */
  let state = {
    connection: 'connecting',
    sections: undefined,
    history: { stepMs: 10_000, atMs: [], series: {} },
    atMs: 0,
    heardMs: 0,
    retryMs: 0,
  }
  let pauseMs = FIRST_PAUSE_MS
  /** @param {Partial<State>} change */
  const set = change => {
    state = { ...state, ...change }
    onState(state)
  }
  const open = () => {
    const source = new EventSource('events')
    const watchdog = setInterval(() => {
      if (performance.now() - openedMs > STALE_MS && performance.now() - state.heardMs > STALE_MS) lose()
    }, 1_000)
    const openedMs = performance.now()
    const lose = () => {
      source.close()
      clearInterval(watchdog)
      // Half of it by chance, so that many pages do not come back at once.
      const waitMs = pauseMs * (0.5 + Math.random() / 2)
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)
      set({ connection: 'lost', retryMs: performance.now() + waitMs })
      setTimeout(open, waitMs)
    }
    /** @param {any} word */
    const heard = ({ atMs, ...change }) => {
      pauseMs = FIRST_PAUSE_MS
      set({ connection: 'live', atMs, heardMs: performance.now(), ...change })
    }
    source.addEventListener('state', event => heard(JSON.parse(event.data)))
    source.addEventListener('delta', event => {
      const { atMs, sections } = JSON.parse(event.data)
      heard({ atMs, sections: { ...state.sections, ...sections } })
    })
    source.addEventListener('sample', event => {
      const { atMs, sample } = JSON.parse(event.data)
      set({ history: withSample(state.history, atMs, sample) })
    })
    source.addEventListener('error', lose)
  }
  open()
}

/**
 * The history with one more sample, and without what is older than an hour.
 * @param {History} history
 * @param {number} atMs
 * @param {Record<string, number>} sample
 * @returns {History}
 */
function withSample(history, atMs, sample) {
  const times = [...history.atMs, atMs]
  const gone = times.filter(each => each < atMs - 3_600_000).length
  /** @type {Record<string, number[]>} */
  const series = {}
  for (const name of new Set([...Object.keys(history.series), ...Object.keys(sample)])) {
    const before = history.series[name] ?? history.atMs.map(() => -1)
    series[name] = [...before, Math.round(sample[name] ?? -1)].slice(gone)
  }
  return { stepMs: history.stepMs, atMs: times.slice(gone), series }
}
