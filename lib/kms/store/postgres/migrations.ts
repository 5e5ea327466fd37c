/**
 * The schema of the database, as the steps that made it: step n leads from version n-1 to n. A step that was published is
 * never changed; what is new is a step of its own.
 */
export const MIGRATIONS: readonly string[] = [
  // One row a site: who owns it, and how far its store has got. All that an owner writes goes through qkd_commit, which
  // takes the row's lock first: of two owners the one with the lower epoch writes nothing any more.
  `
  create table qkd_site (
    site_id text primary key,
    epoch bigint not null default 0,
    owner_id text,
    owner_process text,
    owner_address text,
    renewals bigint not null default 0,
    renewed_at timestamptz,
    released boolean not null default true,
    batch bigint not null default 0,
    key_epoch bigint not null default 0,
    row_check bytea,
    system_identifier text,
    timeline bigint
  );
  create table qkd_row (
    site_id text not null references qkd_site,
    pool_id text not null,
    kind text not null check (kind in ('pool', 'block', 'sealed', 'note')),
    name bytea not null,
    value bytea not null,
    primary key (site_id, pool_id, kind, name)
  );
  -- Sealed blocks do not compress.
  alter table qkd_row alter column value set storage external;
  create table qkd_slot (
    site_id text not null references qkd_site,
    slot integer not null check (slot >= 0),
    value bytea not null,
    primary key (site_id, slot)
  );
  -- Rewritten with every batch: room on their pages spares them new ones.
  alter table qkd_site set (fillfactor = 20);
  alter table qkd_row set (fillfactor = 80);

  -- Volatile, and one statement after the other: a single statement would go on with the snapshot from before it
  -- waited for the lock, and miss what the other one has written meanwhile.
  create function qkd_commit(
    p_site text, p_epoch bigint, p_batch bigint, p_key_epoch bigint,
    p_pools text[], p_kinds text[], p_names bytea[], p_values bytea[],
    p_slots integer[], p_slot_values bytea[]
  ) returns text language plpgsql volatile as $$
  declare
    v_epoch bigint;
    v_batch bigint;
  begin
    select epoch, batch into v_epoch, v_batch from qkd_site where site_id = p_site for no key update;
    if v_epoch is distinct from p_epoch then
      return 'fenced';
    end if;
    if v_batch = p_batch then
      -- Its answer was lost on the way. Written again, so that this answer waits for the standby too.
      update qkd_site set batch = p_batch where site_id = p_site;
      return 'done';
    end if;
    if v_batch <> p_batch - 1 then
      return 'fenced';
    end if;
    delete from qkd_row r using unnest(p_pools, p_kinds, p_names, p_values) as c(pool_id, kind, name, value)
      where r.site_id = p_site and c.value is null
        and r.pool_id = c.pool_id and r.kind = c.kind and r.name = c.name;
    insert into qkd_row (site_id, pool_id, kind, name, value)
      select p_site, c.pool_id, c.kind, c.name, c.value
      from unnest(p_pools, p_kinds, p_names, p_values) as c(pool_id, kind, name, value)
      where c.value is not null
      on conflict (site_id, pool_id, kind, name) do update set value = excluded.value;
    delete from qkd_slot s using unnest(p_slots, p_slot_values) as c(slot, value)
      where s.site_id = p_site and c.value is null and s.slot = c.slot;
    insert into qkd_slot (site_id, slot, value)
      select p_site, c.slot, c.value from unnest(p_slots, p_slot_values) as c(slot, value)
      where c.value is not null
      on conflict (site_id, slot) do update set value = excluded.value;
    update qkd_site set batch = p_batch, key_epoch = coalesce(p_key_epoch, key_epoch) where site_id = p_site;
    return 'done';
  end $$;
  `,
]
