//! No value of a cell gets into an error or the reason of a reject, whoever puts it into a message of the server.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Bench, Row, Thing, load, put};
use endpoint_api::{RejectQuery, Sink as _};

const CELL: &str = "canary-of-a-cell";

/// What is shown of loading a row that is fine and one that holds the cell.
async fn told(bench: &Bench, id: &str) -> (bool, String) {
    let rows: [Row<'_>; 2] = [put(Thing::named(format!("good {id}"), "good"), 1), put(Thing::named(id, CELL), 1)];
    let (loaded, mut told) = match load(&bench.sink, &[&[&rows]]).await {
        Ok(counts) => (counts.rejected == 1 && counts.inserted == 1, format!("{counts:?}")),
        Err(error) => (false, format!("{error} {error:?}")),
    };
    for reject in bench.sink.rejects(&RejectQuery::newest(10)).await.unwrap() {
        told.push_str(&format!(" {} {:?}", reject.reason, reject.field));
    }
    bench.execute("truncate cdm_work._cdm_reject").await;
    (loaded, told)
}

/// Raises whatever code is asked for, with the cell in everything that can be said.
const RAISE: &str = "
    create table public.wanted (code text);
    insert into public.wanted values ('P0001');
    create function public.raise() returns trigger language plpgsql as $$
    begin
        if new.name like 'canary%' then
            raise exception 'bad %', new.name using errcode = (select code from public.wanted), detail = new.name,
                hint = new.name, column = new.name, constraint = new.name, datatype = new.name, table = new.name,
                schema = new.name;
        end if;
        return new;
    end $$;
    create trigger raise before insert on cdm_work.cdm_test_thing for each row execute function public.raise()";

#[tokio::test]
async fn whatever_code_a_trigger_raises_its_words_are_not_shown() {
    let bench = Bench::new().await;
    bench.execute(RAISE).await;
    let private = ["U0001", "ZZ999", "45000", "99001", "42ZZZ", "23ZZZ"];
    let mut of_the_row = Vec::new();
    for code in postgres_client::codes().chain(private) {
        bench.execute(&format!("update public.wanted set code = '{code}'")).await;
        let (is_rejected, told) = told(&bench, code).await;
        assert!(!told.contains("canary"), "{code}: {told}");
        assert!(told.contains(code), "{code}: {told}");
        if is_rejected {
            of_the_row.push(code);
        }
    }
    for code in ["P0001", "P0002", "U0001", "ZZ999", "45000", "23514", "22P02", "38000", "2F005", "20000"] {
        assert!(of_the_row.contains(&code), "{code} rejects the row alone: {of_the_row:?}");
    }
    for code in ["42501", "XX001", "57014", "40001", "0A000", "HV000", "25006", "58030", "42ZZZ"] {
        assert!(!of_the_row.contains(&code), "{code} is not of the row");
    }
}

#[tokio::test]
async fn what_the_server_itself_says_of_a_value_is_not_shown() {
    for (at, refusal) in [
        "check (name = 'good' or name::regclass is not null)",
        "check (name = 'good' or name::regtype is not null)",
        "check (name = 'good' or name::int > 0)",
        "check (name = 'good' or name::jsonb is not null)",
        "check (name = 'good' or current_setting(name) is not null)",
        "check (name = 'good' or set_config('work_mem', name, true) is not null)",
        "check (name = 'good' or pg_read_file(name) is not null)",
        "check (name = 'good' or to_tsquery('simple', name || ' &') is not null)",
        "check (name = 'good' or regexp_match(name, '(' || name) is not null)",
        "check (name = 'good' or make_date(length(name), 99, 1) is not null)",
        "check (name = 'good' or query_to_xml('select ' || quote_ident(name), true, true, '') is not null)",
        "check (name = 'good' or query_to_xml('table ' || quote_ident(name), true, true, '') is not null)",
        "check (name = 'good' or nextval(name) > 0)",
    ]
    .into_iter()
    .enumerate()
    {
        let bench = Bench::new().await;
        bench.execute(&format!("alter table cdm_work.cdm_test_thing add constraint expression {refusal}")).await;
        let (_, told) = told(&bench, &at.to_string()).await;
        assert!(!told.contains("canary") && told.contains("SQLSTATE"), "{refusal}: {told}");
    }
}

#[tokio::test]
async fn a_policy_of_the_table_refuses_a_row_and_not_the_load() {
    let bench = Bench::new().await;
    bench.execute(RAISE).await;
    bench.execute("drop trigger raise on cdm_work.cdm_test_thing").await;
    let user = format!("policed_{}", bench.value("select current_database()").await);
    bench
        .execute(&format!(
            "create role {user} login password 'pw'; grant all on schema cdm_work to {user};
             grant all on all tables in schema cdm_work to {user};
             alter table cdm_work.cdm_test_thing enable row level security;
             create policy p on cdm_work.cdm_test_thing using (true) with check (name not like 'canary%')"
        ))
        .await;
    let (server, _) = bench.database.url().split_once("://").unwrap();
    let (_, at) = bench.database.url().rsplit_once('@').unwrap();
    let config = serde_json::json!({ "connection_url": format!("{server}://{user}:pw@{at}") });
    let sink = common::open(config).await.unwrap();
    let rows: [Row<'_>; 2] = [put(Thing::named("a", "good"), 1), put(Thing::named("b", CELL), 1)];
    let counts = load(&sink, &[&[&rows]]).await;
    bench.execute(&format!("drop owned by {user}; drop role {user}")).await;
    let counts = counts.unwrap();
    assert_eq!((counts.inserted, counts.rejected), (1, 1));
}

#[tokio::test]
async fn a_row_that_is_refused_at_the_commit_is_rejected_alone() {
    let bench = Bench::new().await;
    bench.execute(RAISE).await;
    bench
        .execute(
            "drop trigger raise on cdm_work.cdm_test_thing;
             create constraint trigger late after insert or update on cdm_work.cdm_test_thing
             deferrable initially deferred for each row execute function public.raise()",
        )
        .await;
    let (is_rejected, told) = told(&bench, "late").await;
    assert!(is_rejected && told.contains("P0001"), "{told}");
}
