//! Whether the files that documents name are there. Reads the tree; changes nothing.
//!
//! A document may leave out the beginning of a path (`media/cache.rs`): it counts as there if a file
//! or folder of the repository ends so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What names a file of ours, by its ending. Others name what is made while the programs run.
const ENDINGS: [&str; 6] = [".rs", ".js", ".html", ".css", ".md", ".toml"];

/// Folders that hold nothing of the repository's own.
const NOT_OURS: [&str; 2] = ["target", ".git"];

/// Each document of the repository at `root` with each file in it that is not there.
///
/// # Errors
/// What could not be read.
pub fn missing(root: &Path) -> std::io::Result<Vec<(String, String)>> {
    let mut files = BTreeSet::new();
    walk(root, "", &mut files)?;
    let documents = files
        .iter()
        .filter(|path| is_markdown(path) && (!path.contains('/') || path.starts_with("docs/")));
    let mut missing = Vec::new();
    for document in documents {
        let text = fs::read_to_string(root.join(document))?;
        let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
        let lost = named(&text).into_iter().filter(|name| !is_there(&files, name));
        let dead = links(&text).into_iter().filter(|link| !root.join(folder).join(link).exists());
        missing.extend(lost.chain(dead).map(|name| (document.clone(), name)));
    }
    Ok(missing)
}

fn is_markdown(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|ending| ending == "md")
}

/// Every file below `folder`, by its path from the root.
fn walk(folder: &Path, path: &str, files: &mut BTreeSet<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let below = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        if !entry.file_type()?.is_dir() {
            files.insert(below);
        } else if !NOT_OURS.contains(&name.as_str()) {
            walk(&entry.path(), &below, files)?;
        }
    }
    Ok(())
}

fn is_there(files: &BTreeSet<String>, name: &str) -> bool {
    let below = format!("/{name}");
    let is = |file: &String| match name.ends_with('/') {
        true => file.starts_with(name) || file.contains(&below),
        false => file == name || file.ends_with(&below),
    };
    files.iter().any(is)
}

/// What stands between backticks and is a path of ours: a file by its ending, or a folder by the
/// slash at its end and one inside. Of several words the first one that is such.
fn named(text: &str) -> Vec<String> {
    let inline = text.lines().scan(false, |fenced, line| {
        let fence = line.trim_start().starts_with("```");
        *fenced ^= fence;
        Some(if *fenced || fence { "" } else { line })
    });
    let mut named = Vec::new();
    for line in inline {
        for span in line.split('`').skip(1).step_by(2) {
            named.extend(span.split(' ').find(|word| is_path(word)).map(str::to_owned));
        }
    }
    named
}

fn is_path(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
    let begins = word.starts_with(|c: char| c.is_ascii_lowercase());
    let folder = word.ends_with('/') && word.trim_end_matches('/').contains('/');
    begins && word.chars().all(plain) && (folder || ENDINGS.iter().any(|end| word.ends_with(end)))
}

/// Where links of the page itself lead, without what stands behind `#`.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.map(|target| target.split('#').next().unwrap_or_default());
    files.filter(|file| !file.is_empty() && !file.contains("://")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_a_document_names_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let missing = missing(&root).unwrap();
        assert!(missing.is_empty(), "documents name files that are not there: {missing:#?}");
    }

    #[test]
    fn paths_are_told_from_other_words() {
        let text = "`media/cache.rs` (`cli/x.rs` `X`) `/live` `NAME.hex` `docs/` `a.b` `node/media/`\n\
                    ```\n`not/this.rs`\n```\n`rm -r node/x.toml`";
        assert_eq!(named(text), ["media/cache.rs", "cli/x.rs", "node/media/", "node/x.toml"]);
        assert_eq!(links("[a](b.md#c) [d](https://e) [f](#g)"), ["b.md"]);
    }

    #[test]
    fn a_path_may_be_named_by_its_end_and_by_nothing_else() {
        let files = ["node/src/cli/mod.rs", "a.md"].map(str::to_owned).into();
        for there in ["node/src/cli/mod.rs", "cli/mod.rs", "mod.rs", "a.md", "src/cli/"] {
            assert!(is_there(&files, there), "{there}");
        }
        for lost in ["od.rs", "src/mod.rs", "b.md", "rc/cli/", "cli/other/"] {
            assert!(!is_there(&files, lost), "{lost}");
        }
    }
}
