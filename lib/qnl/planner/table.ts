/** Columns as wide as their widest cell, the last as it is. */
export function drawTable(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((name, column) =>
    rows.reduce((most, row) => Math.max(most, row[column]!.length), name.length),
  )
  return [head, ...rows].map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column]! + 2))
      .join('')
      .trimEnd(),
  )
}

/** Bits per second in the unit that leaves one to three digits before the point. */
export function formatRate(rateBps: number): string {
  const units = ['b/s', 'kb/s', 'Mb/s', 'Gb/s', 'Tb/s']
  const power = rateBps < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(rateBps) / 3))
  return `${formatNumber(rateBps / 1000 ** power)} ${units[power]}`
}

/** Four digits, more only before the point. */
export function formatNumber(value: number): string {
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(4)))
}

/** A share of 0 to 1 in percent. */
export function formatPercent(part: number): string {
  return `${Number((100 * part).toPrecision(3))} %`
}
