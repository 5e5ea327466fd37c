import { ClosedError, InvalidArgumentError, QkdError, UnauthorizedError } from '../errors.ts'
import type { AuditEntry } from '../interface/audit.ts'
import type { Logger } from '../interface/logger.ts'
import type {
  OperatorAudit,
  OperatorCall,
  OperatorCallName,
  OperatorCalls,
  OperatorContext,
  OperatorIdentity,
} from '../interface/operator.ts'
import { compileSchema, describeFaults, type SchemaCheck } from '../util/json-schema.ts'
import { mayCall, permissions } from './permissions.ts'

/** Calls at a time, over all who make them. */
const MAX_RUNNING = 32
/** Arguments longer than this are not repeated in the audit log, but for their size. */
const MAX_AUDITED_CHARACTERS = 8_192
/** Longest name of a call that is repeated in the audit log. */
const MAX_NAME = 64
/** Refusals written in a minute; whoever is refused must not fill the disk with it. The next line counts the others. */
const REFUSALS_PER_MINUTE = 600

/** What a desk is made with. */
export interface OperatorDeskOptions {
  /** Where every call is written, done or refused; undefined for nowhere. */
  readonly audit: OperatorAudit | undefined
  readonly logger: Logger
  readonly monotonicMs?: () => number
}

/** Takes the calls of operators: role, arguments, audit log, and only then the call itself. */
export class OperatorDesk implements OperatorCalls {
  readonly #options: OperatorDeskOptions
  readonly #calls = new Map<OperatorCallName, { call: OperatorCall; check: SchemaCheck<Record<string, unknown>> }>()
  #running = 0
  #minute = 0
  #refusedInMinute = 0
  #unwritten = 0

  constructor(options: OperatorDeskOptions) {
    this.#options = options
  }

  /** Names of the calls that there are, in the order of `permissions`. */
  get names(): OperatorCallName[] {
    return (Object.keys(permissions) as OperatorCallName[]).filter(name => this.#calls.has(name))
  }

  register<A>(call: OperatorCall<A>): void {
    if (this.#calls.has(call.name)) throw new InvalidArgumentError(`Call ${call.name} is there already`)
    const known = call as unknown as OperatorCall
    this.#calls.set(call.name, { call: known, check: compileSchema(call.schema) })
  }

  async perform(name: string, args: unknown, context: OperatorContext): Promise<unknown> {
    const { operator } = context
    const asked = { operator, name, args }
    if (!mayCall(name, operator.roles)) return await this.#refuse(asked, notAllowed(name, operator))
    const known = this.#calls.get(name)
    if (known === undefined)
      return await this.#refuse(asked, new InvalidArgumentError(`There is no call ${name} at this site`))
    const checked = known.check(args)
    if (!checked.ok)
      return await this.#refuse(asked, new InvalidArgumentError(`${name}: ${describeFaults(checked.faults)}`))
    if (this.#running >= MAX_RUNNING)
      return await this.#refuse(asked, new ClosedError(`${MAX_RUNNING} calls of operators run already; try again`))
    this.#running += 1
    try {
      await this.#options.audit?.record(entryOf(asked, { outcome: 'allowed' }))
      return await known.call.run(checked.value, context)
    } catch (error) {
      await this.#noteFailure(asked, error as Error)
      throw error
    } finally {
      this.#running -= 1
    }
  }

  refuse(name: string, error: Error & { readonly code: string }, { operator }: OperatorContext): Promise<never> {
    return this.#refuse({ operator, name, args: undefined }, error)
  }

  async #refuse(asked: Asked, error: Error & { readonly code: string }): Promise<never> {
    if (this.#mayWriteRefusal()) {
      const reason = this.#unwritten === 0 ? error.message : `${error.message} (and ${this.#unwritten} more refusals)`
      this.#unwritten = 0
      await this.#note(entryOf(asked, { outcome: error.code, reason }))
    } else this.#unwritten += 1
    throw error
  }

  async #noteFailure(asked: Asked, error: Error): Promise<void> {
    const outcome = error instanceof QkdError ? error.code : 'FAILED'
    await this.#note(entryOf({ ...asked, args: undefined }, { outcome, reason: error.message }))
  }

  /** What takes no effect, or has failed: its line may be lost with the disk, and that is said. */
  async #note(entry: AuditEntry): Promise<void> {
    const { audit, logger } = this.#options
    logger.warn({ call: entry.call, operator: entry.operator?.name, outcome: entry.outcome }, 'operator call refused')
    await audit?.record(entry).catch((error: Error) => {
      logger.error({ call: entry.call, reason: error.message }, 'An operator call was not written to the audit log')
    })
  }

  #mayWriteRefusal(): boolean {
    const { monotonicMs = () => performance.now() } = this.#options
    const minute = Math.floor(monotonicMs() / 60_000)
    if (minute !== this.#minute) {
      this.#minute = minute
      this.#refusedInMinute = 0
    }
    this.#refusedInMinute += 1
    return this.#refusedInMinute <= REFUSALS_PER_MINUTE
  }
}

interface Asked {
  readonly operator: OperatorIdentity
  readonly name: string
  readonly args: unknown
}

function entryOf({ operator, name, args }: Asked, what: Pick<AuditEntry, 'outcome' | 'reason'>): AuditEntry {
  const call = name.slice(0, MAX_NAME)
  return { event: 'operator', ...what, operator, call, ...(args !== undefined && { arguments: shortened(args) }) }
}

function shortened(args: unknown): unknown {
  const { length } = JSON.stringify(args) ?? ''
  return length > MAX_AUDITED_CHARACTERS ? { characters: length } : args
}

function notAllowed(name: string, { name: who, roles }: OperatorIdentity): QkdError {
  if (!Object.hasOwn(permissions, name)) return new InvalidArgumentError(`There is no call ${name.slice(0, MAX_NAME)}`)
  const needed = permissions[name as OperatorCallName].roles
  const has = roles.length === 0 ? 'has no role' : `is ${roles.join(', ')}`
  return new UnauthorizedError(`${name} is for ${needed.join(', ')}; "${who}" ${has}`)
}
