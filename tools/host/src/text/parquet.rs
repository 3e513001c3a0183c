//! Parquet: a column of a table, of which every row is a document.

use std::fs::File;

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::json_lines::push;

/// What every Parquet file begins with.
pub const MAGIC: &[u8] = b"PAR1";
/// Rows read at a time.
const ROWS: usize = 1024;
/// Names of other columns shown where the one wanted is missing.
const SHOWN: usize = 8;

/// A column being read.
pub struct Rows {
    file: SerializedFileReader<File>,
    name: String,
    /// Its number.
    column: usize,
    /// Definition levels of a value that is there: 0 where none can be missing.
    defined: i16,
    /// The next row group, and what is left of the one at hand.
    group: usize,
    rows: Option<ColumnReaderImpl<ByteArrayType>>,
    /// Rows read so far.
    read: u64,
}

impl Rows {
    /// The column `name` of a file.
    ///
    /// # Errors
    /// It is damaged, or has no such column of texts.
    pub fn open(file: File, name: &str) -> Result<Self, String> {
        let file = SerializedFileReader::new(file).map_err(|error| format!("no whole Parquet file: {error}"))?;
        let schema = file.metadata().file_metadata().schema_descr();
        let mut columns = schema.columns().iter();
        let Some(column) = columns.position(|column| column.path().string() == name) else {
            let names = schema.columns().iter().take(SHOWN).map(|column| format!("\"{}\"", column.path().string()));
            let names = names.collect::<Vec<_>>().join(", ");
            return Err(format!("expected a column \"{name}\" (--field names another), found {names}"));
        };
        let (defined, repeated) = (schema.column(column).max_def_level(), schema.column(column).max_rep_level());
        if repeated > 0 {
            return Err(format!("the column \"{name}\" is of lists, expected one of texts"));
        }
        Ok(Self { name: name.into(), column, defined, group: 0, rows: None, read: 0, file })
    }

    /// Appends some more documents to `text`, a separator after each; `false` after the last.
    pub fn fill(&mut self, text: &mut Vec<u8>) -> Result<bool, String> {
        let damaged = |error: parquet::errors::ParquetError| format!("damaged: {error}");
        loop {
            let Some(rows) = &mut self.rows else {
                if self.group == self.file.num_row_groups() {
                    return Ok(false);
                }
                let group = self.file.get_row_group(self.group).map_err(damaged)?;
                self.group += 1;
                match group.get_column_reader(self.column).map_err(damaged)? {
                    ColumnReader::ByteArrayColumnReader(rows) => self.rows = Some(rows),
                    _ => return Err(format!("the column \"{}\" is of numbers, expected one of texts", self.name)),
                }
                continue;
            };
            let (mut values, mut levels): (Vec<ByteArray>, Vec<i16>) = (Vec::with_capacity(ROWS), Vec::new());
            let (read, ..) = rows.read_records(ROWS, Some(&mut levels), None, &mut values).map_err(damaged)?;
            if read == 0 {
                self.rows = None;
                continue;
            }
            if let Some(missing) = levels.iter().position(|&level| level < self.defined) {
                let row = self.read + missing as u64 + 1;
                return Err(format!("row {row} has no text in the column \"{}\"", self.name));
            }
            for value in values {
                self.read += 1;
                let wrong = |what: &str| format!("row {}: {what} in the column \"{}\"", self.read, self.name);
                let told = value.as_utf8().map_err(|_| wrong("no UTF-8"))?;
                if told.contains('\0') {
                    return Err(wrong("a NUL character"));
                }
                push(text, told);
            }
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::Compression;
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::super::{Form, Reader, TextError};
    use super::*;

    /// A table of texts, some rows a group; `None` for a row without one.
    fn table(rows: &[Option<&str>], in_group: usize, compression: Compression) -> tempfile::NamedTempFile {
        let schema = "message schema { REQUIRED INT64 id; OPTIONAL BYTE_ARRAY text (UTF8); }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        let file = tempfile::NamedTempFile::with_suffix(".parquet").unwrap();
        let mut writer = SerializedFileWriter::new(file.reopen().unwrap(), schema, properties).unwrap();
        for rows in rows.chunks(in_group) {
            let mut group = writer.next_row_group().unwrap();
            let mut ids = group.next_column().unwrap().unwrap();
            let numbers: Vec<i64> = (0..rows.len() as i64).collect();
            ids.typed::<parquet::data_type::Int64Type>().write_batch(&numbers, None, None).unwrap();
            ids.close().unwrap();
            let mut texts = group.next_column().unwrap().unwrap();
            let values: Vec<ByteArray> = rows.iter().flatten().map(|&text| text.into()).collect();
            let levels: Vec<i16> = rows.iter().map(|row| row.is_some().into()).collect();
            texts.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
            texts.close().unwrap();
            group.close().unwrap();
        }
        writer.close().unwrap();
        file
    }

    fn read(file: &tempfile::NamedTempFile, field: &str) -> Result<String, TextError> {
        let mut reader = Reader::open(file.path(), &Form { field: field.into(), separator: None })?;
        let mut text = Vec::new();
        while reader.fill(&mut text)? {}
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn every_row_is_a_document_however_the_file_is_packed() {
        let stories: Vec<String> = (0..3000).map(|i| format!("Story {i}.\r\nIt ended: é.")).collect();
        let rows: Vec<Option<&str>> = stories.iter().map(|story| Some(story.as_str())).collect();
        let want: String = stories.iter().map(|story| story.replace("\r\n", "\n") + "\n<|endoftext|>\n").collect();
        for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(Default::default())] {
            let file = table(&rows, 1700, compression);
            assert!(read(&file, "text").unwrap() == want, "{compression}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_table_is_said() {
        let message = |rows: &[Option<&str>], field: &str| {
            read(&table(rows, 10, Compression::SNAPPY), field).unwrap_err().to_string()
        };
        let other = message(&[Some("a")], "story");
        assert!(
            other.contains("expected a column \"story\" (--field names another), found \"id\", \"text\""),
            "{other}"
        );
        assert!(message(&[Some("a")], "id").contains("of numbers, expected one of texts"));
        assert!(message(&[Some("a"), None], "text").contains("row 2 has no text"));
        assert!(message(&[Some("a\0b")], "text").contains("row 1: a NUL character"));
        let whole = table(&[Some("a story")], 1, Compression::SNAPPY);
        let bytes = std::fs::read(whole.path()).unwrap();
        std::fs::write(whole.path(), &bytes[..bytes.len() - 9]).unwrap();
        assert!(read(&whole, "text").unwrap_err().to_string().contains("no whole Parquet file"));
    }
}
