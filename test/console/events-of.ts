import type { ConsoleHistory, ConsoleSections } from '../../lib/console/sections.ts'

/** What a browser is told first. */
export interface ConsoleState {
  readonly atMs: number
  readonly sections: ConsoleSections
  readonly history: ConsoleHistory
}

/** Opens the stream of a console, reads its first frame, and leaves. */
export async function stateOf(url: string): Promise<ConsoleState> {
  const leaving = new AbortController()
  const response = await fetch(new URL('events', url), { signal: leaving.signal })
  let text = ''
  for await (const chunk of response.body!) {
    text += Buffer.from(chunk).toString()
    if (text.includes('\n\n')) break
  }
  leaving.abort()
  const [, json] = /^event: state\ndata: (.*)\n/.exec(text) ?? []
  return JSON.parse(json!) as ConsoleState
}
