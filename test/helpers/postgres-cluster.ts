import { PostgresNode } from './postgres.ts'

/** A primary and a standby, whose roles change. */
export class PostgresCluster implements AsyncDisposable {
  primary: PostgresNode
  standby: PostgresNode
  /** Names both servers. */
  readonly url: string

  private constructor(primary: PostgresNode, standby: PostgresNode) {
    this.primary = primary
    this.standby = standby
    const hosts = encodeURIComponent([primary, standby].map(({ directory }) => directory).join(','))
    this.url = `postgresql://qkd@localhost/postgres?host=${hosts}`
  }

  /** Starts both; what the primary answers for the standby has, unless `isSynchronous` is false. */
  static async start(
    programs: string,
    { isSynchronous = true }: { isSynchronous?: boolean } = {},
  ): Promise<PostgresCluster> {
    const primary = await PostgresNode.create(programs, {
      synchronous_standby_names: isSynchronous ? 'ANY 1 (*)' : '',
    })
    const cluster = new PostgresCluster(primary, await PostgresNode.empty(programs))
    try {
      await primary.start()
      await cluster.standby.follow(primary)
      await cluster.standby.start()
      return cluster
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      throw error
    }
  }

  /** `kill -9` of the primary; the standby takes over. */
  async failOver(): Promise<void> {
    await this.primary.kill()
    await this.standby.promote()
    ;[this.primary, this.standby] = [this.standby, this.primary]
  }

  /** The machine that failed comes back as the standby of the other. */
  async rebuild(): Promise<void> {
    await this.standby.follow(this.primary)
    await this.standby.start()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.standby[Symbol.asyncDispose]()
    await this.primary[Symbol.asyncDispose]()
  }
}
