import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { UpdownProgram } from '../../../integrations/strongswan/hook/updown-program.ts'
import type { IpsecAgentEvent } from '../../../integrations/strongswan/index.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

const notice = (direction: 'up' | 'down', edge: boolean, uniqueId: string): IpsecAgentEvent => ({
  type: 'updown',
  connection: 'b',
  keyId: `key-${uniqueId}`,
  direction,
  edge,
  event: {
    verb: `${direction}-client`,
    uniqueId,
    child: 'net',
    reqId: '1',
    atMs: 0,
    variables: { PLUTO_PEER_CLIENT: '10.2.0.0/16', PLUTO_PEER_ID: 'x\n$(id)', PATH: '/nowhere' },
  },
})

async function createProgram(body: string, { timeoutMs }: { timeoutMs?: number } = {}) {
  const dir = await createTempDir()
  const [path, out] = [join(dir.path, 'program'), join(dir.path, 'out')]
  await writeFile(path, `#!/bin/sh\n${body.replaceAll('OUT', out)}\n`, { mode: 0o755 })
  const warnings: object[] = []
  const silent = () => {}
  const logger = { debug: silent, info: silent, error: silent, warn: (fields: object) => warnings.push(fields) }
  const program = new UpdownProgram({ path, timeoutMs, logger })
  const said = () => readFile(out, 'utf8').catch(() => '')
  return { program, warnings, said, [Symbol.asyncDispose]: dir[Symbol.asyncDispose] }
}

describe('UpdownProgram', () => {
  it('is told of up, moved and down, in order, with the key_ID, and not of a late down', async () => {
    await using made = await createProgram(
      'echo "$QKD_EVENT $QKD_CONNECTION $QKD_CHILD $QKD_KEY_ID $QKD_UNIQUE_ID" >> OUT',
    )
    made.program.take(notice('up', true, '1'))
    made.program.take(notice('up', false, '2'))
    made.program.take(notice('down', false, '1'))
    made.program.take(notice('down', true, '2'))
    made.program.take({ type: 'charon', connected: true, version: undefined })
    await made.program.close()
    expect(await made.said()).to.equal('up b net key-1 1\nmoved b net key-2 2\ndown b net key-2 2\n')
  })

  it('gets what charon said as it is, and a search path that nobody outside has set', async () => {
    await using made = await createProgram('printf "%s|%s|%s" "$PATH" "$PLUTO_PEER_CLIENT" "$PLUTO_PEER_ID" > OUT')
    made.program.take(notice('up', true, '1'))
    await made.program.close()
    expect(await made.said()).to.equal('/usr/sbin:/usr/bin:/sbin:/bin|10.2.0.0/16|x\n$(id)')
  })

  it('goes on after a call that fails or takes too long', async () => {
    await using made = await createProgram(
      '[ "$QKD_UNIQUE_ID" = 1 ] && exit 3\n[ "$QKD_UNIQUE_ID" = 2 ] && exec sleep 60\necho ok > OUT',
      {
        timeoutMs: 500,
      },
    )
    for (const id of ['1', '2', '3']) made.program.take(notice('up', true, id))
    await made.program.close()
    expect(await made.said()).to.equal('ok\n')
    expect(made.warnings).to.have.length(2)
  })

  it('stops waiting when it is told to', async () => {
    await using made = await createProgram('exec sleep 60')
    for (const id of ['1', '2']) made.program.take(notice('up', true, id))
    await made.program.close({ signal: AbortSignal.timeout(50) })
    expect(made.warnings).to.have.length(1)
  })
})
