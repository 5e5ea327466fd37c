/** The samples of a page of metrics, by name and labels, those of the site left out. */
export function parseMetrics(text: string): Map<string, number> {
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    const [, name, labels = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (name === undefined) continue
    const rest = labels.replace(/^site="[^"]*",?/, '')
    samples.set(rest === '' ? name : `${name}{${rest}}`, Number(value!.replace('+Inf', 'Infinity')))
  }
  return samples
}
