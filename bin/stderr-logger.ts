import type { Logger } from '../lib/index.ts'

/** What an administrator should know goes to standard error; the journal keeps it. */
export function stderrLogger({ json }: { json: boolean }): Logger {
  const tell = (severity: string) => (fields: object, message: string) => {
    const words = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`)
    const text = [message, ...words].join(' ')
    process.stderr.write(json ? `${JSON.stringify({ [severity]: message, ...fields })}\n` : `${severity}: ${text}\n`)
  }
  return { debug: () => {}, info: tell('info'), warn: tell('warning'), error: tell('error') }
}
