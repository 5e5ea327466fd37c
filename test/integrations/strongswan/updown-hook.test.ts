import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { parseUpdownFile } from '../../../integrations/strongswan/hook/updown-file.ts'
import { updownScript } from '../../../integrations/strongswan/hook/updown-script.ts'
import { UpdownSpool } from '../../../integrations/strongswan/hook/updown-spool.ts'
import type { UpdownEvent } from '../../../integrations/strongswan/updown-event.ts'
import { findProgram } from '../../helpers/peer-program.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { until } from '../../helpers/until.ts'

const execute = promisify(execFile)
const UP = {
  PLUTO_VERSION: '1.1',
  PLUTO_VERB: 'up-client',
  PLUTO_CONNECTION: 'net',
  PLUTO_UNIQUEID: '7',
  PLUTO_REQID: '1',
  PLUTO_MY_CLIENT: '10.1.0.0/16',
  PLUTO_PEER_CLIENT: '10.2.0.0/16',
  PLUTO_PEER_ID: 'b',
}

/** A spool and the hook for it, as `sh -c` runs it in charon. */
async function createHook({ spoolLimit }: { spoolLimit?: number } = {}) {
  const dir = await createTempDir()
  const [script, spoolDir] = [join(dir.path, 'updown'), join(dir.path, 'run', 'updown')]
  await writeFile(script, updownScript({ spoolDir, spoolLimit }), { mode: 0o755 })
  const files = async () => (await readdir(spoolDir).catch(() => [])).filter(name => /\.(up|down)$/.test(name)).sort()
  let calls = 0
  const call = async (values: Record<string, string>, shell = 'dash') => {
    calls += 1
    const { stdout, stderr } = await execute(shell, [script], { env: values })
    expect(stdout + stderr).to.equal('')
  }
  /** Resolves when as many files lie in the spool. */
  const wait = (count = calls) => until(async () => (await files()).length === count, `${count} files in the spool`)
  return { spoolDir, script, call, wait, files, [Symbol.asyncDispose]: dir[Symbol.asyncDispose] }
}

describe('updownScript', () => {
  const shells = ['dash', 'bash', 'busybox'].filter(shell => findProgram(shell) !== undefined)

  for (const shell of shells) {
    const program = shell === 'busybox' ? 'sh' : shell

    it(`leaves a file that says what charon said, in ${shell}`, async () => {
      await using hook = await createHook()
      await hook.call(UP, program)
      await hook.wait()
      const [name] = await hook.files()
      const event = parseUpdownFile(await readFile(join(hook.spoolDir, name!), 'utf8'), 5)
      const { PLUTO_VERSION: _, ...variables } = UP
      expect(event).to.deep.equal({ verb: 'up-client', child: 'net', uniqueId: '7', reqId: '1', atMs: 5, variables })
    })

    it(`neither runs nor believes what stands in a value, in ${shell}`, async () => {
      await using hook = await createHook()
      const mark = join(hook.spoolDir, 'ran')
      const hostile = {
        PLUTO_PEER_ID: `C=x\nPLUTO_VERB=down-client\nPLUTO_UNIQUEID=1 $(touch ${mark}) \`touch ${mark}\` "'; touch ${mark};`,
        PLUTO_XAUTH_ID: '\\n\\\\\n\n%s%n\x1b[2J*?[a-z]~',
        PLUTO_MY_ID: 'ü'.repeat(100),
        PLUTO_INTERFACE: '\n',
        PLUTO_ME: '-e',
      }
      await hook.call({ ...UP, ...hostile, IFS: 'abcdefghijklmnopqrstuvwxyz', 'PLUTO_PEER;id': 'x' }, program)
      await hook.wait()
      const [name] = await hook.files()
      const event = parseUpdownFile(await readFile(join(hook.spoolDir, name!), 'utf8'), 5)!
      expect(event).to.include({ verb: 'up-client', uniqueId: '7' })
      for (const [key, value] of Object.entries(hostile)) {
        expect(event.variables[key], key).to.equal(value)
      }
      expect(await readdir(hook.spoolDir)).to.deep.equal([name])
    })
  }

  it('leaves out a value of a length that nobody honest has', async () => {
    await using hook = await createHook()
    await hook.call({ ...UP, PLUTO_PEER_ID: '\n'.repeat(1_025), PLUTO_XAUTH_ID: '\n'.repeat(100_000) })
    await hook.wait()
    const text = await readFile(join(hook.spoolDir, (await hook.files())[0]!), 'utf8')
    expect(text)
      .to.contain('PLUTO_VERB=up-client\n')
      .and.not.match(/PEER_ID|XAUTH/)
  })

  it('keeps the newest of more files than may wait', async () => {
    await using hook = await createHook({ spoolLimit: 3 })
    for (let id = 1; id <= 6; id += 1) {
      await hook.call({ ...UP, PLUTO_UNIQUEID: String(id) })
      await hook.wait(Math.min(id, 3))
      // Of two files in the same moment, none is the newest.
      await until(
        async () => (await readFile(join(hook.spoolDir, (await hook.files()).at(-1)!), 'utf8')).includes(`ID=${id}\n`),
        `file ${id}`,
      )
    }
    const texts = await Promise.all((await hook.files()).map(name => readFile(join(hook.spoolDir, name), 'utf8')))
    expect(texts.map(text => /UNIQUEID=(\d+)/.exec(text)?.[1])).to.deep.equal(['4', '5', '6'])
  })

  it('lets charon go on while the disk hangs', async () => {
    await using hook = await createHook()
    const disk = join(hook.script, '..', 'disk')
    await execute('mkfifo', [disk])
    const hanging = (await readFile(hook.script, 'utf8')).replace('\n{\n', `\n{\n  : <${disk}\n`)
    await writeFile(hook.script, hanging)
    // As charon calls it, which reads the output to its end.
    const child = spawn('sh', ['-c', `2>&1 ${hook.script}`], { env: UP, stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = once(child.stdout, 'end')
    child.stdout.resume()
    await ended
    expect(await hook.files()).to.deep.equal([])
    await writeFile(disk, '')
    await hook.wait(1)
  })

  it('refuses a directory that a shell would read otherwise', () => {
    for (const spoolDir of ['run/updown', '/run/a b', '/run/$(id)', "/run/'", '/run/\n', '']) {
      expect(() => updownScript({ spoolDir })).to.throw('absolute path')
    }
  })
})

describe('UpdownSpool', () => {
  async function openSpool(spoolDir: string) {
    const events: UpdownEvent[] = []
    const spool = new UpdownSpool({ spoolDir, onEvent: event => events.push(event) })
    await spool.open()
    return { events, ids: () => events.map(({ uniqueId }) => uniqueId), [Symbol.asyncDispose]: () => spool.close() }
  }

  it('takes what waited while no agent ran, and then what comes, in order', async () => {
    await using hook = await createHook()
    for (const id of ['10', '9']) await hook.call({ ...UP, PLUTO_UNIQUEID: id })
    await hook.wait()
    await using spool = await openSpool(hook.spoolDir)
    expect(spool.ids()).to.deep.equal(['10', '9'])
    for (const id of ['12', '11']) await hook.call({ ...UP, PLUTO_UNIQUEID: id, PLUTO_VERB: 'down-client-v6' })
    await until(() => spool.events.length === 4, 'four events')
    expect(spool.ids()).to.deep.equal(['10', '9', '12', '11'])
    expect(spool.events[3]).to.include({ verb: 'down-client-v6' })
    expect(await hook.files()).to.deep.equal([])
  })

  it('tells of the "up" first that came with a "down" and ended later', async () => {
    await using dir = await createTempDir()
    await using spool = await openSpool(dir.path)
    const write = async (ms: number, uniqueId: string, direction: 'up' | 'down') => {
      const text = `PLUTO_VERB=${direction}-client\nPLUTO_CONNECTION=net\nPLUTO_UNIQUEID=${uniqueId}\nPLUTO_REQID=1\n`
      await writeFile(join(dir.path, 'part'), text)
      await rename(join(dir.path, 'part'), join(dir.path, `${ms}000000.1.${uniqueId}.${direction}`))
    }
    const nowMs = Date.now()
    await write(nowMs, '1', 'down')
    await until(async () => (await readdir(dir.path)).length === 1, 'the down')
    await write(nowMs - 1, '2', 'up')
    await until(() => spool.events.length === 2, 'both')
    expect(spool.ids()).to.deep.equal(['2', '1'])
    // Of one IKE_SA the order is as it was.
    await write(nowMs + 2, '2', 'down')
    await write(nowMs + 3, '2', 'up')
    await until(() => spool.events.length === 4, 'all')
    expect(spool.events.map(({ verb }) => verb)).to.deep.equal(['up-client', 'down-client', 'down-client', 'up-client'])
  })

  it('throws away what is none of the hook, and follows no link', async () => {
    await using dir = await createTempDir()
    const write = (name: string, text: string) => writeFile(join(dir.path, name), text)
    await write('secret', 'PLUTO_VERB=up-client\nPLUTO_CONNECTION=net\nPLUTO_UNIQUEID=1\nPLUTO_REQID=1\n')
    await symlink(join(dir.path, 'secret'), join(dir.path, '1.1.7.up'))
    await write('2.1.7.up', 'PLUTO_VERB=sideways-client\nPLUTO_CONNECTION=net\nPLUTO_UNIQUEID=1\nPLUTO_REQID=1\n')
    await write('3.1.7.up', 'PLUTO_VERB=up-client\nPLUTO_CONNECTION=net\nPLUTO_UNIQUEID=x\nPLUTO_REQID=1\n')
    await write('4.1.7.up', '\0'.repeat(70_000))
    await write('5.1.7.up', '')
    await mkdir(join(dir.path, '6.1.7.up'))
    await write(
      '7.1.7.up',
      'PLUTO_VERB=up-host\nPLUTO_CONNECTION=net\nPLUTO_REQID=1\nPLUTO_UNIQUEID=7\n__proto__=1\nrest',
    )
    await using spool = await openSpool(dir.path)
    expect(spool.ids()).to.deep.equal(['7'])
    expect(await readdir(dir.path)).to.deep.equal(['secret'])
  })

  it('refuses a directory to which others may write', async () => {
    await using dir = await createTempDir()
    await chmod(dir.path, 0o777)
    const spool = new UpdownSpool({ spoolDir: dir.path, onEvent: () => {} })
    const refused = await spool.open().catch((error: Error) => error)
    expect(refused)
      .to.include({ code: 'ERR_QKD_CONFIG' })
      .and.property('message')
      .match(/chmod 0700/)
  })
})
