import { readFile } from 'node:fs/promises'
import { isAbsolute, resolve } from 'node:path'
import type { AlarmSinkConfig, AlarmSinkFile, AlarmsConfig, AlarmsConfigFile } from './alarms-config.ts'
import { type Findings, openToOthers, unreadable } from './tls-files.ts'

/** Fields that a sink must have and may have, by its kind (and, for syslog, transport). */
const FIELDS: Readonly<
  Record<string, { needs: readonly (keyof AlarmSinkFile)[]; takes: readonly (keyof AlarmSinkFile)[] }>
> = {
  webhook: { needs: ['url'], takes: ['ca', 'secretFile'] },
  syslog: { needs: ['transport'], takes: [] },
  'syslog udp': { needs: ['transport', 'host', 'port'], takes: ['facility'] },
  'syslog tcp': { needs: ['transport', 'host', 'port'], takes: ['facility'] },
  'syslog tls': { needs: ['transport', 'host', 'port', 'ca'], takes: ['facility'] },
  'syslog unix': { needs: ['transport', 'path'], takes: ['facility'] },
  command: { needs: ['argv'], takes: [] },
}

/** `alarms` with paths absolute and files read; what can't be stands in `findings`. */
export async function readAlarms(baseDir: string, file: AlarmsConfigFile, findings: Findings): Promise<AlarmsConfig> {
  const { file: path, sinks = [], ...rest } = file
  for (const [name, { raise, clear }] of Object.entries(rest.conditions ?? {})) {
    if (raise !== undefined && clear !== undefined && clear >= raise)
      findings.faults.push({ path: `/alarms/conditions/${name}/clear`, message: 'must be below raise' })
  }
  const read: AlarmSinkConfig[] = []
  for (const [index, sink] of sinks.entries()) {
    const one = await readSink(baseDir, sink, { pointer: `/alarms/sinks/${index}`, findings })
    if (one !== undefined) read.push({ ...one, name: sink.name ?? `${sink.kind}-${index + 1}` })
  }
  const names = read.map(({ name }) => name)
  for (const [index, name] of names.entries())
    if (names.indexOf(name) < index)
      findings.faults.push({ path: `/alarms/sinks/${index}/name`, message: `another sink is called "${name}" too` })
  return { ...rest, ...(path !== undefined && { file: resolve(baseDir, path) }), sinks: read }
}

async function readSink(
  baseDir: string,
  sink: AlarmSinkFile,
  { pointer, findings }: { pointer: string; findings: Findings },
): Promise<AlarmSinkConfig | undefined> {
  const { faults } = findings
  const kind = sink.kind === 'syslog' && sink.transport !== undefined ? `syslog ${sink.transport}` : sink.kind
  const { needs, takes } = FIELDS[kind]!
  const missing = needs.filter(field => sink[field] === undefined)
  for (const field of missing) faults.push({ path: pointer, message: `field "${field}" is missing; ${kind} needs it` })
  const given = Object.keys(sink) as (keyof AlarmSinkFile)[]
  // The schema fills in what has a default.
  const own = new Set<string>(['kind', 'name', 'timeoutMs', 'facility', ...needs, ...takes])
  for (const field of given.filter(name => !own.has(name)))
    faults.push({ path: `${pointer}/${field}`, message: `does not go with ${kind}` })
  if (missing.length > 0) return undefined
  const program = sink.argv?.[0]
  if (program !== undefined && !isAbsolute(program))
    faults.push({ path: `${pointer}/argv/0`, message: `"${program}" must be an absolute path` })
  const readText = async (field: 'ca' | 'secretFile') => {
    const path = sink[field]
    return path === undefined ? undefined : await readPart(resolve(baseDir, path), `${pointer}/${field}`, findings)
  }
  const ca = (await readText('ca'))?.toString('utf8')
  const secret = sink.secretFile === undefined ? undefined : await readText('secretFile')
  if (sink.secretFile !== undefined && secret !== undefined) {
    const open = await openToOthers(resolve(baseDir, sink.secretFile))
    if (open !== undefined) faults.push({ path: `${pointer}/secretFile`, message: open })
    if (secret.byteLength < 16)
      faults.push({
        path: `${pointer}/secretFile`,
        message: 'must have 16 characters at least; make it with: openssl rand -hex 32',
      })
  }
  const { secretFile: _, ca: __, ...fields } = sink
  const path = sink.path === undefined ? {} : { path: resolve(baseDir, sink.path) }
  return { ...fields, ...path, ...(ca !== undefined && { ca }), ...(secret && { secret }) } as AlarmSinkConfig
}

/** The content of a file, without the end of its last line. */
async function readPart(path: string, pointer: string, { faults }: Findings): Promise<Buffer | undefined> {
  try {
    const content = await readFile(path)
    const end = content.at(-1) === 0x0a ? -1 : content.byteLength
    return content.subarray(0, end)
  } catch (error) {
    faults.push({ path: pointer, message: unreadable(path, error) })
    return undefined
  }
}
