import type { AuditLog } from './audit.ts'
import type { AbortOptions } from './lifecycle.ts'

/**
 * What a person (or program) who looks after a site or a network may be. `auditor` reads; `operator` runs what is there:
 * alarms, maintenance; `enroller` brings hosts in; `security-officer` changes what protects keys: policy, secrets, incidents.
 * No role includes another: who is several has several.
 */
export type OperatorRole = 'operator' | 'auditor' | 'enroller' | 'security-officer'

/** Who makes a call, as the audit log says it. */
export interface OperatorIdentity {
  /** Name from the configuration; of somebody unknown what the certificate says. */
  readonly name: string
  readonly roles: readonly OperatorRole[]
  /** What it was known by: a certificate, or the right to open the unix socket. */
  readonly by: 'certificate' | 'socket'
}

/** Every call that changes or reads a running site or controller, by name; `permissions` says who may make it. */
export type OperatorCallName =
  | 'status'
  | 'alarm-list'
  | 'alarm-acknowledge'
  | 'policy-reload'
  | 'secrets-refresh'
  | 'store-rekey'
  | 'sae-list'
  | 'audit-head'
  | 'incident-hold'
  | 'incident-invalidate'
  | 'incident-release'
  | 'incident-list'
  | 'incident-report'
  | 'console'
  | 'network-status'
  | 'network-drain'
  | 'network-restore'

/** What a call is told besides its arguments. */
export interface OperatorContext extends Required<AbortOptions> {
  readonly operator: OperatorIdentity
}

/** One call, as the part of a site that answers it registers it. */
export interface OperatorCall<A = Record<string, unknown>> {
  readonly name: OperatorCallName
  /** JSON Schema (draft 2020-12) of the arguments, an object that takes no fields it does not know. */
  readonly schema: Readonly<Record<string, unknown>>
  /**
   * Does it, once role and arguments are checked and the audit log has it, durably. What it gives is sent as JSON: no key, no
   * secret. An error of the toolkit goes to the caller as it is.
   */
  run(args: A, context: OperatorContext): Promise<unknown>
}

/** Where operators' calls come in, whatever way they came. */
export interface OperatorCalls {
  register<A>(call: OperatorCall<A>): void
  /**
   * Makes a call for somebody, or refuses it; either is in the audit log first.
   * @throws {UnauthorizedError} none of the caller's roles may make it
   * @throws {InvalidArgumentError} there is no such call here, or its arguments are not what it takes
   * @throws {StoreError} the audit log can't be written: nothing was done
   */
  perform(name: string, args: unknown, context: OperatorContext): Promise<unknown>
  /** Refuses what was asked in a form that no call has, and writes that down as any refusal: always rejects with the error. */
  refuse(name: string, error: Error & { readonly code: string }, context: OperatorContext): Promise<never>
}

/** Where a desk writes what was asked of it. */
export type OperatorAudit = Pick<AuditLog, 'record'>
