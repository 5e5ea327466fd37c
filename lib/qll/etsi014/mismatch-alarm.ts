import type { Telemetry } from '../../interface/telemetry.ts'

/** Raised while the two KMEs of a link give different keys under one key_ID: a fault, or somebody between them. */
export class MismatchAlarm {
  readonly #linkId: string
  readonly #telemetry: Telemetry | undefined
  #raised = false

  constructor({ linkId, telemetry }: { readonly linkId: string; readonly telemetry: Telemetry | undefined }) {
    this.#linkId = linkId
    this.#telemetry = telemetry
  }

  raise(): void {
    if (this.#raised) return
    this.#raised = true
    this.#tell('raised', `The two KMEs of link "${this.#linkId}" gave different keys; both ends dropped them`)
  }

  clear(): void {
    if (!this.#raised) return
    this.#raised = false
    this.#tell('cleared', `The two KMEs of link "${this.#linkId}" give the same keys again`)
  }

  #tell(state: 'raised' | 'cleared', text: string): void {
    this.#telemetry?.emit({ type: 'alarm', id: `link-mismatch:${this.#linkId}`, severity: 'critical', state, text })
  }
}
