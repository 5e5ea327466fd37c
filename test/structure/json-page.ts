const LINE_CHARS = 120

/** A value as the text of a JSON file, laid out as the formatter has it: a list of plain values on one line where it fits. */
export function jsonPage(value: unknown): string {
  return `${layOut(value, '', 0)}\n`
}

/** @param before characters on the line before the value */
function layOut(value: unknown, indent: string, before: number): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const inner = `${indent}  `
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]'
    const oneLine = `[${value.map(item => JSON.stringify(item)).join(', ')}]`
    // One character more is the comma behind it.
    if (value.every(isPlain) && before + oneLine.length + 1 <= LINE_CHARS) return oneLine
    return `[\n${value.map(item => inner + layOut(item, inner, inner.length)).join(',\n')}\n${indent}]`
  }
  const members = Object.entries(value).map(([name, member]) => {
    const head = `${inner}${JSON.stringify(name)}: `
    return head + layOut(member, inner, head.length)
  })
  return members.length === 0 ? '{}' : `{\n${members.join(',\n')}\n${indent}}`
}

function isPlain(value: unknown): boolean {
  return typeof value !== 'object' || value === null
}
