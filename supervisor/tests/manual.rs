//! Compares the two manual pages with the program, its help and the sample configuration: no word is missing in any
//! of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use supervisor::config::{Config, Identity};

/// A set of words, as a person looks for them: `run --box`, `pair.name`.
type Words = BTreeSet<String>;

#[test]
fn the_manual_has_every_command_and_option_of_the_help() {
    let overview = help(&["help"]);
    let mut told = Words::new();
    for word in commands(&overview) {
        let usage = help(&["help", &word]).lines().next().unwrap_or_default().to_owned();
        told.extend(options(&usage).map(|option| format!("{word} {option}")));
        told.insert(word);
    }
    let mut written = Words::new();
    for line in page(PROGRAM).lines() {
        let Some(item) = line.strip_prefix(".It Cm ") else { continue };
        let macros: Vec<&str> = item.split_whitespace().collect();
        let word = macros.first().copied().unwrap_or_default().to_owned();
        written.extend(flags(&macros).map(|option| format!("{word} {option}")));
        written.insert(word);
    }
    same("twobox.8", &written, "`twobox help`", &told);
}

#[test]
fn the_manual_has_every_exit_code_file_and_variable() {
    let (page, overview) = (page(PROGRAM), help(&["help"]));
    let is_number = |word: &&str| word.bytes().all(|digit| digit.is_ascii_digit());
    let codes = between(&overview, "\nExit ", "\nExamples");
    let codes = codes.split_whitespace().filter(is_number).map(str::to_owned).collect();
    let status = between(&page, ".Sh EXIT STATUS", ".Sh EXAMPLES");
    let status = status.lines().filter_map(|line| line.strip_prefix(".It "));
    let status = status.filter(is_number).map(str::to_owned).collect();
    same("EXIT STATUS of twobox.8", &status, "`twobox help`", &codes);
    let files = between(&page, ".Sh FILES", ".Sh EXIT STATUS");
    for file in overview.split_whitespace().filter(|word| word.starts_with('/')) {
        assert!(files.contains(&format!("Pa {file}\n")), "FILES of twobox.8 lacks {file}");
    }
    let environment = between(&page, ".Sh ENVIRONMENT", ".Sh FILES");
    let written: Words = environment
        .split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
        .filter(|word| word.starts_with("TWOBOX_"))
        .map(str::to_owned)
        .collect();
    let known: Words = literals("\"TWOBOX_", |c| c.is_ascii_uppercase() || c == '_')
        .into_iter()
        .filter(|rest| !rest.is_empty())
        .map(|rest| format!("TWOBOX_{rest}"))
        .collect();
    let missing: Vec<_> = known.difference(&written).collect();
    assert!(missing.is_empty(), "ENVIRONMENT of twobox.8 lacks {missing:?}");
}

#[test]
fn the_manual_has_every_word_of_the_sample_and_no_other() {
    let (page, sample) = (page(WORDS), sample());
    let all: BTreeSet<_> = sample.split(|c| !is_of_word(c)).collect();
    let (mut written, mut told) = (Words::new(), Words::new());
    for (section, titles) in SECTIONS {
        for (word, _) in titles.iter().flat_map(|title| items(&page, title)) {
            let name = format!("{section}.{word}");
            // A word that stands in the prose of the sample alone, such as `guid`, is there too.
            if all.contains(word.as_str()) {
                told.insert(name.clone());
            }
            written.insert(name);
        }
        let words = assigned(&of_section(&sample, section), section == "fence");
        told.extend(words.into_iter().map(|word| format!("{section}.{word}")));
    }
    same("twobox.toml.5", &written, "the sample", &told);
}

/// The sample can forget a word as well: the program cannot.
#[test]
fn the_manual_has_every_word_that_the_program_reads() {
    let page = page(WORDS);
    let written: Words = SECTIONS
        .iter()
        .flat_map(|(_, titles)| titles.iter().flat_map(|title| items(&page, title)))
        .map(|(word, _)| word)
        .collect();
    let known: Words = READERS
        .iter()
        .flat_map(|reader| literals(&format!(".{reader}(\""), is_of_word))
        .chain(["kind".to_owned()])
        .collect();
    assert!(known.len() > 60, "the readers have other names now: {known:?}");
    let missing: Vec<_> =
        known.difference(&written).filter(|word| !TITLES.contains(&word.as_str())).collect();
    assert!(missing.is_empty(), "twobox.toml.5 lacks {missing:?}, which the program reads");
}

/// That those of the sample are true is tested beside the configuration.
#[test]
fn the_manual_has_the_defaults_of_the_sample() {
    let (page, sample) = (page(WORDS), sample());
    let mut compared = 0;
    for (section, titles) in SECTIONS {
        let text = of_section(&sample, section);
        for (word, item) in titles.iter().flat_map(|title| items(&page, title)) {
            let begin = format!("#{word} = ");
            let said = text.lines().find_map(|line| line.strip_prefix(begin.as_str()));
            let default = item.split_once("default").map(|(_, rest)| rest.trim_start());
            let (Some(said), Some(default)) = (said, default) else { continue };
            let default = default.strip_prefix(".Ql ").unwrap_or(default).replace("\\(dq", "\"");
            let default = default.split([' ', '\n']).next().unwrap_or_default();
            let default = default.trim_end_matches(['.', ',', ';', ':']);
            if default.starts_with(|c: char| c == '"' || c.is_ascii_digit()) {
                assert_eq!(default, said, "{section}.{word}: the page and the sample");
                compared += 1;
            }
        }
    }
    assert!(compared > 20, "only {compared} defaults were found");
}

#[test]
fn the_guide_knows_the_headlines_of_status() {
    let guide = page("images/what-to-do.md");
    let told: Vec<_> =
        guide.split(HEADLINE).skip(1).filter_map(|it| it.split('`').next()).collect();
    assert!(told.len() > 10, "{told:?}");
    let sources: String = ["supervisor/src", "board/src", "firmware-agnostic/src"]
        .iter()
        .flat_map(|folder| sources(&home().join(folder)))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for headline in told {
        // What follows names a box, as the example calls it.
        let headline = headline.split("server").next().unwrap_or_default();
        let headline = headline.split("; ").next().unwrap_or_default();
        assert!(sources.contains(headline), "no status begins with {headline:?} any more");
    }
}

#[test]
fn every_example_is_right_for_both_boxes() {
    let readme = page("README.md");
    let mut texts = vec![("README.md".to_owned(), between(&readme, "```toml\n", "```").to_owned())];
    for path in sources(&home().join("images/dist/examples")) {
        if path.extension().is_some_and(|extension| extension == "toml") {
            texts.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(texts.len() >= 4, "{} examples", texts.len());
    for (path, text) in texts {
        for name in ["server1", "server2"] {
            let identity = Identity { told: Some(name.to_owned()), ..Identity::default() };
            let wrong = Config::read(&text, &identity).err();
            assert!(wrong.is_none(), "{path} on {name}: {wrong:?}");
        }
    }
}

#[test]
fn the_manual_is_good_mdoc() {
    let output = Command::new("mandoc").args(["-T", "lint"]).args(paths()).output();
    let output = output.expect("mandoc is installed (Debian: mandoc)");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // Whether other pages are installed is the machine's business.
    let faults: Vec<_> =
        said.lines().filter(|line| !line.contains("referenced manual not found")).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn same(page: &str, written: &Words, source: &str, told: &Words) {
    let [missing, unknown] = [told.difference(written), written.difference(told)]
        .map(|words| words.cloned().collect::<Vec<_>>().join(", "));
    assert!(missing.is_empty(), "{page} lacks what {source} has: {missing}");
    assert!(unknown.is_empty(), "{page} has what {source} lacks: {unknown}");
}

fn help(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_twobox")).args(words).output().unwrap();
    assert!(output.status.success(), "twobox {words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands, one at the beginning of each indented line before the next headline.
fn commands(overview: &str) -> Vec<String> {
    let lines = overview.lines().skip_while(|line| !line.starts_with("  "));
    let lines = lines.take_while(|line| line.starts_with("  "));
    let words = lines.filter_map(|line| line.split_whitespace().next());
    let words: Vec<_> = words.map(str::to_owned).collect();
    assert!(words.len() > 10, "{overview}");
    words
}

/// `--box` and `-n` out of `[--box NAME] [-n N]`.
fn options(usage: &str) -> impl Iterator<Item = String> {
    let words = usage.split(|c: char| !(c.is_ascii_lowercase() || c == '-'));
    words.filter(|word| word.starts_with('-')).map(str::to_owned)
}

/// The same out of `Fl Fl box Ar NAME Oc Op Fl n Ar N`.
fn flags(macros: &[&str]) -> impl Iterator<Item = String> {
    let named = macros.windows(3).filter_map(|three| match three {
        ["Fl", "Fl", name] => Some(format!("--{name}")),
        [before, "Fl", name] if *before != "Fl" && *name != "Fl" => Some(format!("-{name}")),
        _ => None,
    });
    named.collect::<Vec<_>>().into_iter()
}

/// What is explained below the headline `title`: each word, and what is said of it.
fn items(page: &str, title: &str) -> Vec<(String, String)> {
    let text = between(page, &format!("\n.Sh {title}\n"), "\n.Sh ");
    let mut items = Vec::new();
    for item in text.split("\n.It Ic ").skip(1) {
        let (names, explained) = item.split_once('\n').unwrap_or((item, ""));
        let names = names.split(" , ").map(|name| (name.to_owned(), explained.to_owned()));
        items.extend(names);
    }
    assert!(!items.is_empty(), "twobox.toml.5 has no section {title}");
    items
}

/// The lines of a section of the sample. The words of fence devices stand in the section of a box, indented in a
/// comment, or in the value of `fence`.
fn of_section(sample: &str, section: &str) -> String {
    let (title, is_fence) = if section == "fence" { ("box", true) } else { (section, false) };
    let mut here = false;
    let mut text = String::new();
    for line in sample.lines() {
        if let Some(name) = line.strip_prefix('[') {
            here = name.trim_start_matches('[').split([']', '.']).next() == Some(title);
            continue;
        }
        let devices = line.strip_prefix("#  ").or_else(|| line.strip_prefix("fence = "));
        let part = if is_fence { devices } else { Some(line) };
        if let Some(part) = part.filter(|_| here) {
            text.push_str(part);
            text.push('\n');
        }
    }
    text
}

/// The words that are given a value: at the beginning of a line, commented out or not, or `anywhere` in it.
fn assigned(text: &str, anywhere: bool) -> Words {
    let mut words = Words::new();
    for line in text.lines() {
        for (at, _) in line.match_indices(" = ") {
            let before = &line[..at];
            let word = before.rsplit(|c| !is_of_word(c)).next().unwrap_or_default();
            let first = before.strip_prefix('#').unwrap_or(before) == word;
            if !word.is_empty() && (first || anywhere) && !YOURS.contains(&word) {
                words.insert(word.to_owned());
            }
        }
    }
    words
}

const fn is_of_word(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

fn between<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("no {begin:?}"));
    rest.split_once(end).map_or(rest, |(it, _)| it)
}

/// What follows `begin` in the source of the product, as long as it `is` of the word.
fn literals(begin: &str, is: fn(char) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["supervisor/src", "board/src"] {
        for path in sources(&home().join(folder)) {
            let source = fs::read_to_string(path).unwrap();
            let product = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            found.extend(
                product
                    .split(begin)
                    .skip(1)
                    .map(|rest| rest.split(|c| !is(c)).next().unwrap_or_default().to_owned()),
            );
        }
    }
    found
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    folders.iter().flat_map(|folder| sources(folder)).chain(files).collect()
}

fn sample() -> String {
    fs::read_to_string(home().join("images/dist/twobox.toml")).unwrap()
}

fn page(name: &str) -> String {
    fs::read_to_string(home().join(name)).unwrap()
}

fn paths() -> [PathBuf; 2] {
    [PROGRAM, WORDS].map(|name| home().join(name))
}

fn home() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

const PROGRAM: &str = "images/dist/man/twobox.8";
const WORDS: &str = "images/dist/man/twobox.toml.5";

/// The sections of the configuration, and the headlines below which the page explains their words.
const SECTIONS: [(&str, &[&str]); 18] = [
    ("pair", &["PAIR"]),
    ("box", &["BOXES"]),
    ("fence", &["FENCE DEVICES"]),
    ("timing", &["TIMING"]),
    ("link", &["LINKS"]),
    ("takeover", &["TAKEOVER"]),
    ("fencing", &["FENCING"]),
    ("witness", &["WITNESSES"]),
    ("resource", &["RESOURCES", "PROCESSES"]),
    ("control", &["CONTROL"]),
    ("log", &["LOG"]),
    ("journal", &["JOURNAL"]),
    ("history", &["HISTORY FILE"]),
    ("metrics", &["METRICS"]),
    ("hook", &["HOOKS"]),
    ("watchdog", &["WATCHDOG"]),
    ("realtime", &["REAL TIME"]),
    ("ready", &["READY"]),
];

/// The verbs by which the configuration is read.
const READERS: [&str; 6] = ["require", "get_or", "take", "choose", "tables", "table"];

/// Words that are sections of their own.
const TITLES: [&str; 4] = ["hook", "link", "resource", "witness"];

/// Names in the sample that its reader gives.
const YOURS: [&str; 4] = ["server1", "server2", "ip", "plug"];

/// How the guide of the operator quotes the first line of `status`.
const HEADLINE: &str = "`pair ldap: ";
