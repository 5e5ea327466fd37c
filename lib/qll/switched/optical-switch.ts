import { InvalidArgumentError } from '../../errors.ts'
import { addressText, type LinkEndAddress, type SwitchSchedule, stateAt } from './schedule.ts'

/** One connection that a switch holds. */
export interface SwitchConnection {
  readonly linkId: string
  readonly address: LinkEndAddress
}

/**
 * The optical switch of one site: joins modules with fibres. It refuses what no switch can do, whatever a schedule says: a
 * module on two fibres, a fibre on two modules, a module or fibre that is not there.
 */
export class OpticalSwitch {
  readonly siteId: string
  readonly #modules: number
  readonly #ports: number
  readonly #byModule = new Map<number, SwitchConnection>()

  constructor({ siteId, modules, ports }: { siteId: string; modules: number; ports: number }) {
    this.siteId = siteId
    this.#modules = modules
    this.#ports = ports
  }

  /** What is joined now, by module. */
  get connections(): readonly SwitchConnection[] {
    return [...this.#byModule].sort(([a], [b]) => a - b).map(([, connection]) => connection)
  }

  /** @throws {InvalidArgumentError} the module or the fibre is in use, or not there */
  connect(connection: SwitchConnection): void {
    const { address } = connection
    if (
      address.siteId !== this.siteId ||
      !within(address.module, this.#modules) ||
      !within(address.port, this.#ports)
    ) {
      throw new InvalidArgumentError(`The switch of "${this.siteId}" has no ${addressText(address)}`)
    }
    for (const other of this.#byModule.values()) {
      if (other.address.module !== address.module && other.address.port !== address.port) continue
      throw new InvalidArgumentError(
        `${addressText(address)} for link "${connection.linkId}" meets ${addressText(other.address)} of link "${other.linkId}"`,
      )
    }
    this.#byModule.set(address.module, connection)
  }

  /** Frees a module; nothing if it is free. */
  disconnect(module: number): void {
    this.#byModule.delete(module)
  }

  /** Turns the switch to what the schedule has at `atMs`, and gives the time of the next turn. */
  follow(schedule: SwitchSchedule, atMs: number): number {
    const { turns, untilMs } = stateAt(schedule, atMs)
    const wanted = turns.flatMap(({ linkId, ends }) =>
      ends.filter(({ siteId }) => siteId === this.siteId).map(address => ({ linkId, address })),
    )
    for (const { linkId, address } of this.connections) {
      const stays = wanted.some(
        one => one.linkId === linkId && one.address.module === address.module && one.address.port === address.port,
      )
      if (!stays) this.disconnect(address.module)
    }
    for (const connection of wanted) {
      if (this.#byModule.get(connection.address.module)?.linkId !== connection.linkId) this.connect(connection)
    }
    return untilMs
  }
}

function within(number: number, count: number): boolean {
  return Number.isInteger(number) && number >= 0 && number < count
}
