import { callAgent, watchAgent } from '../../integrations/strongswan/index.ts'
import { defineCommand } from '../command.ts'
import { agentSocket, withAgentSocket } from '../ipsec-agent-socket.ts'
import { describeAgent, describeAgentEvent } from '../ipsec-words.ts'
import { printJson, printLines, stopSignal } from '../terminal.ts'

/** `qkd ipsec status`: which key each IKE_SA uses, by charon's own word. */
export const ipsecStatusCommand = defineCommand({
  command: 'status',
  describe: 'Show which key each IKE_SA uses, as charon said itself, and what is wrong',
  builder: yargs =>
    withAgentSocket(yargs)
      .option('watch', {
        type: 'boolean',
        default: false,
        describe: 'Go on with what happens, up and down of traffic too, until Ctrl-C',
      })
      .example('$0 ipsec status', 'of the agent of this gateway')
      .example('$0 ipsec status --watch --json', 'for a program: the status, then an event a line'),
  handler: async ({ watch, json, ...args }) => {
    const path = await agentSocket(args)
    if (watch) return await follow(path, { json })
    await show(path, { json })
  },
})

async function show(path: string, { json }: { json: boolean }): Promise<void> {
  const status = await callAgent(path, { call: 'status' }, { timeoutMs: 10_000 })
  await (json ? printJson(status) : printLines(...describeAgent(status, Date.now())))
}

async function follow(path: string, { json }: { json: boolean }): Promise<void> {
  const [stop, over] = [new AbortController(), new AbortController()]
  stopSignal(over).then(
    () => stop.abort(),
    () => {},
  )
  try {
    // Asked for before the status is, so that nothing is missed between the two.
    const events = watchAgent(path, stop)
    const first = events.next()
    first.catch(() => {})
    await show(path, { json })
    for (let next = await first; next.done !== true; next = await events.next()) {
      await (json ? printJson({ event: next.value }) : printLines(`${clock()}  ${describeAgentEvent(next.value)}`))
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error
  } finally {
    over.abort()
  }
}

function clock(): string {
  return new Date().toISOString().slice(11, 23)
}
