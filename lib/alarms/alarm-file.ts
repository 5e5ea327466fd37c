import { readFile } from 'node:fs/promises'
import { StoreError } from '../errors.ts'
import type { Alarm } from '../interface/alarm.ts'
import { type Deferred, deferred } from '../util/deferred.ts'
import { compileSchema, describeFaults } from '../util/json-schema.ts'
import { replaceFile } from '../util/replace-file.ts'

const text = { type: 'string' }
const time = { type: 'number' }

const check = compileSchema<{ alarms: Alarm[] }>({
  type: 'object',
  required: ['version', 'alarms'],
  properties: {
    version: { const: 1 },
    alarms: {
      type: 'array',
      items: {
        type: 'object',
        required: ['id', 'severity', 'state', 'text', 'raisedAtMs', 'changedAtMs', 'times'],
        properties: {
          id: text,
          severity: { enum: ['warning', 'minor', 'major', 'critical'] },
          state: { enum: ['active', 'acknowledged', 'cleared'] },
          text,
          raisedAtMs: time,
          changedAtMs: time,
          times: time,
          acknowledged: {
            type: 'object',
            required: ['by', 'atMs'],
            properties: { by: text, atMs: time, note: text },
          },
        },
      },
    },
  },
})

interface NextWrite {
  readonly read: () => readonly Alarm[]
  readonly done: Deferred<void>
}

/** The alarms of a site on disk, so that what somebody sees to stays seen to over a restart. Writes that come together are one. */
export class AlarmFile {
  readonly #path: string
  #next: NextWrite | undefined
  #running: Promise<void> | undefined

  constructor(path: string) {
    this.#path = path
  }

  /**
   * What was kept; nothing where there is no file yet.
   * @throws {StoreError} the file is damaged
   */
  async read(): Promise<readonly Alarm[]> {
    let content: string
    try {
      content = await readFile(this.#path, 'utf8')
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw new StoreError(`The alarms in ${this.#path} cannot be read: ${(cause as Error).message}`, { cause })
    }
    const checked = check(parse(content))
    if (checked.ok) return checked.value.alarms
    throw new StoreError(
      `The alarms in ${this.#path} are damaged: ${describeFaults(checked.faults)}; move the file away, acknowledgements are lost with it`,
    )
  }

  /**
   * Keeps what `read` gives when the write begins; resolves when it is durable.
   * @throws {StoreError} it can't be written
   */
  write(read: () => readonly Alarm[]): Promise<void> {
    this.#next ??= { read, done: deferred() }
    const { promise } = this.#next.done
    this.#running ??= this.#run()
    return promise
  }

  async #run(): Promise<void> {
    for (let next = this.#next; next !== undefined; next = this.#next) {
      this.#next = undefined
      try {
        await replaceFile(this.#path, `${JSON.stringify({ version: 1, alarms: next.read() })}\n`)
        next.done.resolve()
      } catch (cause) {
        const message = `The alarms in ${this.#path} cannot be kept: ${(cause as Error).message}`
        next.done.reject(new StoreError(message, { cause }))
      }
    }
    this.#running = undefined
  }
}

function parse(content: string): unknown {
  try {
    return JSON.parse(content)
  } catch {
    return undefined
  }
}
