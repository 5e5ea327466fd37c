const PREFIXES = ['', 'k', 'M', 'G', 'T']

/**
 * A number with three digits that count and a prefix: 1.25 M.
 * @param {number} value
 */
function short(value) {
  let rest = Math.abs(value)
  let step = 0
  while (rest >= 999.5 && step < PREFIXES.length - 1) {
    rest /= 1000
    step += 1
  }
  const digits = rest >= 99.5 || (step === 0 && Number.isInteger(rest)) ? 0 : rest >= 9.95 ? 1 : 2
  return [`${value < 0 ? '−' : ''}${rest.toFixed(digits)}`, PREFIXES[step]]
}

/**
 * @param {number} bps
 * @returns {string} a rate, such as 1.25 Mb/s
 */
export function rate(bps) {
  const [value, prefix] = short(bps)
  return `${value} ${prefix}b/s`
}

/**
 * @param {number} bits
 * @returns {string} an amount of key, such as 12.3 kb
 */
export function amount(bits) {
  const [value, prefix] = short(bits)
  return `${value} ${prefix}b`
}

/**
 * @param {number} value
 * @returns {string} a count with separators
 */
export function count(value) {
  return Math.round(value).toLocaleString('en')
}

/**
 * @param {number} share
 * @returns {string} a share of one in per cent
 */
export function percent(share) {
  const value = share * 100
  if (value > 0 && value < 0.1) return '< 0.1 %'
  return `${value >= 9.95 || value === 0 ? Math.round(value) : value.toFixed(1)} %`
}

/**
 * @param {number} ms
 * @returns {string} a time in its two largest units, such as 3 h 20 min
 */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return seconds % 60 === 0 || minutes >= 10 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} d`
}

/**
 * @param {number} ms
 * @returns {string} how long a stock lasts
 */
export function lasts(ms) {
  return ms > 365 * 86_400_000 ? '> 1 year' : duration(ms)
}

/**
 * @param {number} atMs
 * @returns {string} a time of day
 */
export function clock(atMs) {
  return new Date(atMs).toLocaleTimeString('en-GB')
}

/** What integrations are called. */
const INTEGRATIONS = new Map([
  ['tls', 'TLS'],
  ['strongswan', 'IPsec'],
  ['kerberos', 'Kerberos'],
])

/**
 * @param {string} name
 * @returns {string} an integration as people call it
 */
export function integrationName(name) {
  return INTEGRATIONS.get(name) ?? name
}
