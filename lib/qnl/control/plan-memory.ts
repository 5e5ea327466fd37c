import { readFile } from 'node:fs/promises'
import type { NodePlan } from '../../interface/network-node.ts'
import { replaceFile } from '../../util/replace-file.ts'
import { isNodePlan } from './control-message.ts'

/**
 * Keeps a node's last plan in a file, so that a site which starts while its controller is away goes on with it. The newest
 * plan counts: those between two writes are passed over. A plan that cannot be written is only not there after a restart.
 */
export class PlanMemory {
  readonly #path: string
  #plan: NodePlan | undefined
  #writing: Promise<void> | undefined
  #dirty = false

  private constructor(path: string, plan: NodePlan | undefined) {
    this.#path = path
    this.#plan = plan
  }

  /** What is no plan counts as none: the controller gives the next one. */
  static async open(path: string): Promise<PlanMemory> {
    try {
      const plan: unknown = JSON.parse(await readFile(path, 'utf8'))
      return new PlanMemory(path, isNodePlan(plan) ? plan : undefined)
    } catch {
      return new PlanMemory(path, undefined)
    }
  }

  get plan(): NodePlan | undefined {
    return this.#plan
  }

  remember(plan: NodePlan): void {
    this.#plan = plan
    this.#dirty = true
    this.#writing ??= this.#write()
  }

  /** Resolves when what was remembered is written. */
  async settled(): Promise<void> {
    await this.#writing
  }

  async #write(): Promise<void> {
    while (this.#dirty) {
      this.#dirty = false
      await replaceFile(this.#path, JSON.stringify(this.#plan)).catch(() => {})
    }
    this.#writing = undefined
  }
}
